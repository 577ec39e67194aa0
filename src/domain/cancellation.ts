/**
 * Cancellation of one call: one owner, a few listeners. What an `AbortController` does, at a tenth of its cost, which every call would
 * pay (EventTarget, listener objects, a DOMException for the reason).
 */
export class Cancellation {
  #reason: string | undefined;
  #listeners: ((reason: string) => void)[] | undefined;

  get isCancelled(): boolean {
    return this.#reason !== undefined;
  }

  /** Why, once it is cancelled. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Idempotent: the first reason stays. */
  cancel(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener(reason);
  }

  /** Called at once when it is cancelled already. */
  onCancel(listener: (reason: string) => void): void {
    if (this.#reason !== undefined) listener(this.#reason);
    else if (this.#listeners === undefined) this.#listeners = [listener];
    else this.#listeners.push(listener);
  }

  offCancel(listener: (reason: string) => void): void {
    const at = this.#listeners?.indexOf(listener) ?? -1;
    if (at !== -1) this.#listeners?.splice(at, 1);
  }
}
