import { permitText } from '../../adapters/policy/permit-text.ts';
import type { CallTrace, TracedDecision } from '../../audit/trace-call.ts';
import { coversTool, type TaskTemplate } from '../../domain/task.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { Estate } from '../estate.ts';

export interface Refusal {
  readonly trace: CallTrace;
  readonly item: GovernedTool | undefined;
  /** As it is now. */
  readonly template: TaskTemplate | undefined;
  readonly decision: TracedDecision;
  readonly estate: Estate;
}

/** What would have to change for a refused or held call to be made: what the caller can do first, then who else would have to. */
export function suggestChange(refusal: Refusal): string[] {
  const { decision, trace } = refusal;
  if (decision.verdict === 'permit') return [];
  const own = decision.nextStep === undefined ? [] : [decision.nextStep];
  if (decision.verdict === 'step_up') return [...own, ...waitingOn(trace)];
  const rule = decision.policies.find((id) => id.startsWith('remit:'));
  return [...own, ...(rule === undefined ? byPolicy(refusal) : byRule(refusal, rule))];
}

function waitingOn({ approvals }: CallTrace): string[] {
  const waiting = approvals.filter(({ end }) => end === undefined);
  return waiting.map(
    ({ id, expires }) => `remit approve ${id} (or deny)${expires === undefined ? '' : `, until ${expires}`}`,
  );
}

/** No policy permits it, or one forbids it. */
function byPolicy({ decision, trace }: Refusal): string[] {
  const { tool, agent, user } = trace.record;
  if (decision.policies.length > 0)
    return [`Change ${decision.policies.join(', ')}, or what it looks at. Try it with \`remit policy simulate\`.`];
  if (tool === undefined || agent === undefined) return [];
  const subject =
    decision.gate === 'user_policy' && user !== undefined
      ? ({ kind: 'User', id: user } as const)
      : ({ kind: 'Agent', id: agent } as const);
  return [
    `A policy that permits it, which the owner of the policies would have to want:\n${permitText(subject, tool)}`,
  ];
}

function byRule({ trace, item, template, estate }: Refusal, rule: string): string[] {
  const { task, record } = trace;
  const { tool } = record;
  const owner = record.connector === undefined ? undefined : estate.connectors.get(record.connector)?.owner;
  const templateOwner =
    template === undefined ? 'the owner of a template' : `${template.owner}, who owns the template ${template.id}`;
  switch (rule) {
    case 'remit:task-tool':
      return template !== undefined && tool !== undefined && coversTool(template.bounds.tools, tool)
        ? [`The template ${template.id} includes ${tool}: declare a task that names it, or names no tools at all.`]
        : [`The template ${task?.template ?? ''} does not include ${tool ?? 'it'}: ask ${templateOwner}.`];
    case 'remit:task-class': {
      const wanted = item?.profile?.actionClass;
      return template !== undefined && wanted !== undefined && template.bounds.actionClasses.includes(wanted)
        ? [
            `The template ${template.id} includes the class ${wanted}: declare a task that names it, or names no classes at all.`,
          ]
        : [
            `The template ${task?.template ?? ''} does not include the class ${wanted ?? 'of it'}: ask ${templateOwner}.`,
          ];
    }
    case 'remit:template':
      return [`Ask ${templateOwner}.`];
    case 'remit:budget':
      return [
        `Start another task${template === undefined ? '' : ` (the template ${template.id} gives ${template.bounds.calls} calls)`}, or ask ${templateOwner} for more.`,
      ];
    case 'remit:undescribed':
      return [
        `${owner ?? 'The owner of the connector'} describes it: \`remit tool describe ${record.connector ?? ''}\`.`,
      ];
    case 'remit:quarantined':
      return [
        `${owner ?? 'The owner of the connector'} reviews what changed: \`remit tool findings\`, then \`remit tool describe\`.`,
      ];
    case 'remit:risk':
      return ['An administrator looks why: `remit risk`.'];
    default:
      return [];
  }
}
