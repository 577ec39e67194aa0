import type { Decision } from '../../domain/decision.ts';
import { agentId, taskId } from '../../domain/ids.ts';
import { type Principal, userKey } from '../../domain/principal.ts';
import type { Task } from '../../domain/task.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { reasonOf } from '../../gateway/edge/barred-answer.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import type { Caller } from '../../gateway/stages/authenticate.ts';
import { weigh } from '../../gateway/stages/decide.ts';
import { identityOf } from '../../gateway/stages/record-intent.ts';
import { levelsNow } from '../../gateway/stages/risk.ts';
import type { Evaluation } from './read-evaluation.ts';

/** What one question comes to, as it is answered and recorded. */
export type Evaluated = Pick<Decision, 'verdict' | 'gate' | 'policies' | 'reason'> &
  Partial<Pick<Decision, 'nextStep' | 'policyVersion'>>;

/**
 * Answers one question by the gateway's own decision on the real task, and puts it on record before it is told. Nothing follows from it here: no
 * call of a budget is taken, nobody is asked, nothing is leased or forwarded. It is no permit to call: that is decided when it is called.
 * @param by name of the enforcement point
 */
export async function evaluate(gateway: Gateway, by: string, asked: Evaluation): Promise<Evaluated> {
  const task = await findTask(gateway, asked);
  if ('verdict' in task) return record(gateway, by, asked, task);
  const caller: Caller = { task, principal: principalOf(gateway, by, asked, task) };
  const item = findItem(gateway, asked.item);
  const decided = isParty(caller, asked)
    ? item === undefined
      ? deny('profile', UNKNOWN[kindOf(asked)], `Nothing that Remit knows is named ${asked.item}.`)
      : await decideOn(gateway, caller, item, asked)
    : deny('task', 'remit:task-principal', 'The task was started by or for somebody else.');
  return record(gateway, by, asked, decided, caller, item);
}

/** A task as it is now; undefined of none is a denial, and so is one that is held back, or that cannot be confirmed (guarantee V1). */
async function findTask({ tasks, tenant }: Gateway, { task }: Evaluation): Promise<Task | Evaluated> {
  const id = taskId(task);
  const found = tasks.get(id) ?? ((await tasks.confirm()) ? tasks.get(id) : undefined);
  if (found !== undefined && found.tenant === tenant) return found;
  const barred = tasks.barred(id);
  return deny('task', 'remit:task-ended', barred === undefined ? 'There is no such task under way.' : reasonOf(barred));
}

/** The task's own agent and user; actors can only take away (guarantee D3). */
function principalOf({ tenant }: Gateway, by: string, { actors }: Evaluation, task: Task): Principal {
  return {
    tenant,
    user: task.user,
    agent: task.agent,
    actors: actors.map(agentId),
    workload: `enforcement_point:${by}`,
    task: task.id,
    tokenId: '',
    tokenExpiresAt: task.expiresAt,
  };
}

/** A right is of somebody: whoever is asked about must be one of those whom the task is for. */
function isParty({ principal }: Caller, { subject }: Evaluation): boolean {
  if (subject.type === 'user') return principal.user !== undefined && userKey(principal.user) === subject.id;
  return principal.agent === subject.id || principal.actors.some((actor) => actor === subject.id);
}

function findItem({ catalogue }: Gateway, ref: string): GovernedTool | undefined {
  const isNamed = (item: GovernedTool): boolean => item.ref === ref;
  return catalogue.tools().find(isNamed) ?? catalogue.prompts().find(isNamed) ?? catalogue.resources().find(isNamed);
}

function decideOn(
  gateway: Gateway,
  caller: Caller,
  item: GovernedTool,
  { action, args }: Evaluation,
): Decision | Promise<Decision> {
  const { principal, task } = caller;
  if (action === 'call')
    return weigh(gateway, caller, { item, args, effect: 'call' }, levelsNow(gateway, caller, item));
  return gateway.decider.decideDiscovery({ principal, task, template: gateway.template(task.template), tool: item });
}

const UNKNOWN = {
  tool: 'remit:unknown-tool',
  prompt: 'remit:unknown-prompt',
  resource: 'remit:unknown-resource',
} as const;

function kindOf({ item }: Evaluation): keyof typeof UNKNOWN {
  const name = item.slice(item.indexOf('/') + 1);
  return name.startsWith('prompt:') ? 'prompt' : name.startsWith('resource:') ? 'resource' : 'tool';
}

const deny = (gate: Decision['gate'], rule: string, reason: string): Evaluated => ({
  verdict: 'deny',
  gate,
  policies: [rule],
  reason,
});

async function record(
  gateway: Gateway,
  by: string,
  { action, subject, item: asked, args, task }: Evaluation,
  decided: Evaluated,
  caller?: Caller,
  item?: GovernedTool,
): Promise<Evaluated> {
  const { verdict, gate, policies, reason, nextStep, policyVersion } = decided;
  const said = { verdict, gate, policies, reason, ...(verdict !== 'permit' && nextStep && { nextStep }) };
  await gateway.recorder.record({
    type: 'evaluation',
    ...(caller && { ...identityOf(caller), span: gateway.newSpan(), input: JSON.stringify(args) }),
    ...(item && { connector: item.connector, tool: item.ref }),
    detail: {
      by,
      effect: action,
      subject: `${subject.type} ${subject.id}`,
      ...said,
      ...(policyVersion !== undefined && { policyVersion }),
      ...(caller === undefined && { asked: { task, item: asked } }),
      ...(caller !== undefined && item === undefined && { asked: { item: asked } }),
    },
  });
  return { ...said, ...(policyVersion !== undefined && { policyVersion }) };
}
