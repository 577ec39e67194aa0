/** A question to a decision point outside, in the words of AuthZEN 1.0 (section 5). Plain JSON: it is sent as it stands. */
export interface ExternalQuestion {
  readonly subject: {
    readonly type: string;
    readonly id: string;
    readonly properties: Readonly<Record<string, unknown>>;
  };
  readonly action: { readonly name: string; readonly properties: Readonly<Record<string, unknown>> };
  readonly resource: {
    readonly type: string;
    readonly id: string;
    readonly properties: Readonly<Record<string, unknown>>;
  };
  readonly context: Readonly<Record<string, unknown>>;
}

export interface ExternalAnswer {
  readonly isPermitted: boolean;
  /** For the caller. From outside: bounded, and without control characters. */
  readonly reason: string | undefined;
  /** Of a permit that people must agree to first: words of `@step_up`, not read yet. */
  readonly stepUp: string | undefined;
}

/**
 * A decision point that somebody else runs. Cardinality: any number, each with a scope of its own. Whatever it does but answer each question, in
 * order, is a rejection, and denies (guarantee D1).
 */
export interface ExternalPolicy {
  ask(questions: readonly ExternalQuestion[], signal: AbortSignal): Promise<readonly ExternalAnswer[]>;
  close(): Promise<void>;
}
