import { RPC } from '../../domain/era.ts';
import type { ConnectorId, ToolRef } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { withoutHiddenWithin } from '../../domain/visible-text.ts';
import { originsOf } from '../../flow/origins-of.ts';
import type { ClientAnswer, ErrorReply, ServerMessages } from '../../seams/upstream.ts';
import type { BridgedTo, CheckedRound } from '../bridge/send.ts';
import type { ClientRequest } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import { factsOf } from './flow.ts';
import { isWithinHold } from './hold.ts';
import { type AdmittedQuestion, type Asking, admitQuestion } from './questions.ts';
import { levelsNow } from './risk.ts';
import { type Needle, withholdWithin } from './withhold-secrets.ts';

/** Questions that a server may ask within one call; people stop reading long before. */
const MAX_QUESTIONS = 16;

/** What a server says to the client while a call is under way, governed. One object a call, also for the bridge: every call makes one. */
export class Dialogue implements ServerMessages, BridgedTo, Asking {
  readonly caller: Caller;
  readonly request: ClientRequest;
  readonly connector: ConnectorId;
  readonly item: ToolRef;
  readonly needles: readonly Needle[];
  readonly #gateway: Gateway;
  readonly #operation: Operation;
  #asked = 0;

  constructor(gateway: Gateway, caller: Caller, operation: Operation, needles: readonly Needle[]) {
    this.caller = caller;
    this.request = operation.request;
    this.connector = operation.item.connector;
    this.item = operation.item.ref;
    this.needles = needles;
    this.#gateway = gateway;
    this.#operation = operation;
  }

  /** Progress goes on under the client's own token (fault 32). */
  notify(method: string, params: JsonObject): void {
    const { progressToken, client } = this.request;
    const isProgress = method === 'notifications/progress';
    if (isProgress ? progressToken === undefined : method !== 'notifications/message') return;
    const { _meta, ...own } = params;
    let clean: JsonObject;
    try {
      clean = withoutHiddenWithin(withholdWithin(own, this.needles)) as JsonObject;
    } catch {
      // Nested deeper than can be looked through.
      return;
    }
    client.notify(method, isProgress ? { ...clean, progressToken } : clean);
  }

  plainProgress(members: string): void {
    const { progressToken, client } = this.request;
    if (progressToken === undefined) return;
    // Nothing in it can hide anything; a credential it could hold.
    if (client.plainProgress !== undefined && !this.needles.some(({ inJson }) => members.includes(inJson)))
      client.plainProgress(members);
    else this.notify('notifications/progress', JSON.parse(`{${members}}`) as JsonObject);
  }

  async ask(method: string, params: JsonObject): Promise<ClientAnswer> {
    if (method === 'ping') return { result: {} };
    const question = await this.#admit(method, params);
    if ('error' in question) return question;
    if (!this.request.client.canAnswer(question.method)) {
      question.recordOutcome({ status: 'not_forwarded', problem: 'the client cannot be asked' });
      return { error: { code: RPC.methodNotFound, message: `the client does not answer ${method}` } };
    }
    const answer = await this.request.client.ask(question);
    if ('error' in answer) {
      question.recordOutcome({ status: 'rpc_error', code: answer.error.code });
      return answer;
    }
    // The task may have changed while a person thought (guarantee D5).
    if (!(await question.confirm())) {
      question.recordOutcome({ status: 'not_forwarded', problem: 'no longer permitted' });
      return { error: { code: RPC.invalidRequest, message: 'no longer permitted' } };
    }
    // Claims that a client adds about itself are not the server's to read (attack A14).
    const { _meta, ...result } = answer.result;
    question.recordOutcome({
      status: 'ok',
      ...(typeof result.action === 'string' && { action: result.action.slice(0, 20) }),
    });
    return { result };
  }

  /** Questions that a modern server puts into its result: they reach the client with it, and its retry is decided anew. */
  async checkRound(inputRequests: JsonObject): Promise<CheckedRound> {
    const checked: Record<string, JsonObject> = {};
    const questions: AdmittedQuestion[] = [];
    for (const [key, asked] of Object.entries(inputRequests)) {
      const { method, params } = asked as JsonObject;
      const question = await this.#admit(String(method), isJsonObject(params) ? params : {});
      if ('error' in question) {
        for (const other of questions)
          other.recordOutcome({ status: 'not_forwarded', problem: 'refused with another' });
        return question;
      }
      questions.push(question);
      checked[key] = { method: question.method, params: question.params };
    }
    for (const question of questions) question.recordOutcome({ status: 'ok', passed: 'with the result' });
    return { inputRequests: checked };
  }

  async redecide() {
    const { tasks, decider, template } = this.#gateway;
    const { principal } = this.caller;
    const task = tasks.get(this.caller.task.id);
    if (task === undefined) return { verdict: 'deny', policies: ['remit:task-ended'], reason: 'the task has ended' };
    const { item, args, lifted } = this.#operation;
    const facts = item.profile?.flow && factsOf(this.#gateway, this.caller, this.#operation);
    const risk = levelsNow(this.#gateway, this.caller, item);
    const decided = await decider.decideCall({
      principal,
      task,
      template: template(task.template),
      tool: item,
      args,
      callsLeft: 'not counted',
      ...(facts && { provenance: originsOf(facts.provenance) }),
      risk,
    });
    // A call that people have let go on is under way: its questions need no approval of their own.
    return lifted !== undefined && isWithinHold(lifted, decided) ? { ...decided, verdict: 'permit' } : decided;
  }

  async #admit(method: string, params: JsonObject): Promise<AdmittedQuestion | ErrorReply> {
    this.#asked += 1;
    if (this.#asked > MAX_QUESTIONS) {
      return { error: { code: RPC.invalidRequest, message: `a call may ask ${MAX_QUESTIONS} questions` } };
    }
    // Bound to this object: what is decided on again is what the call was decided on.
    return admitQuestion(this.#gateway, this, method, params);
  }
}
