import type { Cancellation } from '../../../domain/cancellation.ts';
import { RPC } from '../../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import type { Schedule } from '../../../seams/clock.ts';
import type { ClientAnswer } from '../../../seams/upstream.ts';

/** Where a question goes out. */
export interface Asking {
  /** Writes the request; false when it cannot reach the client. */
  send(id: number): boolean;
  /** Tells the client that nobody waits for the answer any more. */
  withdraw(id: number, reason: string): void;
}

export interface QuestionLimits {
  /** Questions that one session may have open. */
  readonly most: number;
  /** How long an answer is waited for, in milliseconds: people think. */
  readonly timeoutMs: number;
}

/** Questions to the client of one session, under ids of our own. */
export class Questions {
  readonly #schedule: Schedule;
  readonly #limits: QuestionLimits;
  readonly #open = new Map<number, (answer: ClientAnswer) => void>();
  #last = 0;

  constructor(schedule: Schedule, limits: QuestionLimits) {
    this.#schedule = schedule;
    this.#limits = limits;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Never rejects: what goes wrong is an error answer. */
  ask(asking: Asking, cancellation: Cancellation | undefined, over?: Cancellation): Promise<ClientAnswer> {
    if (this.#open.size >= this.#limits.most) return Promise.resolve(unanswered('too many questions are open'));
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve) => {
      const settle = (answer: ClientAnswer): void => {
        if (!this.#open.delete(id)) return;
        cancelTimer();
        cancellation?.offCancel(giveUp);
        over?.offCancel(giveUp);
        resolve(answer);
      };
      const giveUp = (reason: string): void => {
        if (!this.#open.has(id)) return;
        asking.withdraw(id, reason);
        settle(unanswered(reason));
      };
      this.#open.set(id, settle);
      const cancelTimer = this.#schedule(this.#limits.timeoutMs, () => giveUp('the client did not answer in time'));
      if (!asking.send(id)) settle(unanswered('the client cannot be reached'));
      else {
        cancellation?.onCancel(giveUp);
        over?.onCancel(giveUp);
      }
    });
  }

  /** A response of the client. One that answers no question of this session is ignored (fault 32). */
  answer(id: string | number | null, message: JsonObject): void {
    if (typeof id === 'number') this.#open.get(id)?.(answerIn(message));
  }

  endAll(reason: string): void {
    for (const settle of [...this.#open.values()]) settle(unanswered(reason));
  }
}

export function unanswered(reason: string): ClientAnswer {
  return { error: { code: RPC.internal, message: reason } };
}

function answerIn({ result, error }: JsonObject): ClientAnswer {
  if (isJsonObject(result) && error === undefined) return { result };
  if (isJsonObject(error) && Number.isSafeInteger(error.code) && typeof error.message === 'string') {
    const { code, message, data } = error;
    return { error: { code: code as number, message, ...(data !== undefined && { data }) } };
  }
  return unanswered('the client’s answer is neither a result nor an error');
}
