import type { JsonObject } from '../../domain/json.ts';
import type { ClientAnswer } from '../../seams/upstream.ts';

/** Questions of one server that are open at a time. */
const MOST_OPEN = 64;
const FAILED: ClientAnswer = { error: { code: -32603, message: 'The client could not be asked' } };
const TOO_MANY: ClientAnswer = { error: { code: -32000, message: 'Too many questions are open' } };

type QuestionId = string | number;
type Ask = (method: string, params: JsonObject) => Promise<ClientAnswer>;

export interface QuestionsOptions {
  readonly answer: (id: QuestionId, answer: ClientAnswer) => void;
  /** The first question has been put, or the last one has been answered: the client's time is not the server's. */
  readonly onWaiting: (isWaiting: boolean) => void;
}

/** Questions of a server that the client has not answered yet. */
export class StdioQuestions {
  readonly #options: QuestionsOptions;
  readonly #open = new Map<QuestionId, symbol>();

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  get isWaiting(): boolean {
    return this.#open.size > 0;
  }

  put(id: QuestionId, method: string, params: JsonObject, ask: Ask): void {
    if (this.#open.size >= MOST_OPEN) {
      this.#options.answer(id, TOO_MANY);
      return;
    }
    // A server may ask under an id again, once it has taken the first question back.
    const mark = Symbol(method);
    this.#open.set(id, mark);
    if (this.#open.size === 1) this.#options.onWaiting(true);
    ask(method, params).then(
      (answer) => this.#close(id, mark, answer),
      () => this.#close(id, mark, FAILED),
    );
  }

  /** The server no longer wants an answer. */
  takeBack(id: unknown): void {
    const mark = this.#open.get(id as QuestionId);
    if (mark !== undefined) this.#close(id as QuestionId, mark, undefined);
  }

  #close(id: QuestionId, mark: symbol, answer: ClientAnswer | undefined): void {
    if (this.#open.get(id) !== mark) return;
    this.#open.delete(id);
    if (answer !== undefined) this.#options.answer(id, answer);
    if (this.#open.size === 0) this.#options.onWaiting(false);
  }
}
