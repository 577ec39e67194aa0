import type { TenantId } from './ids.ts';

export const REVOCATION_ACTIONS = ['suspend', 'resume', 'revoke'] as const;
export const REVOCATION_KINDS = ['all', 'agent', 'connector', 'task', 'lease'] as const;

/**
 * `suspend`: nothing of it is served, and nothing of it is lost, until `resume`. `revoke`: a task or lease ends for good; of an agent, a
 * connector or everything, what there is ends, and nothing new begins until `resume`.
 */
export type RevocationAction = (typeof REVOCATION_ACTIONS)[number];

/** What a row of the revocation log is about. */
export interface RevocationSubject {
  readonly kind: (typeof REVOCATION_KINDS)[number];
  /** Id of the agent, connector, task or lease; empty for `all`. */
  readonly id: string;
}

/** What is appended; the log gives the position. */
export interface RevocationEntry {
  readonly tenant: TenantId;
  readonly action: RevocationAction;
  readonly subject: RevocationSubject;
  /** Who: an operating system account, `DEVIATION` or `RISK`. */
  readonly by: string;
  readonly reason: string;
  /** Milliseconds since the epoch, for people: order is the position's. */
  readonly at: number;
}

/** One row of the revocation log of a tenant. Positions start with 1, rise by 1, and have no gaps. */
export interface Revocation extends RevocationEntry {
  readonly position: number;
}

export const ALL: RevocationSubject = { kind: 'all', id: '' };

/** `by` of a row that no person ordered: a task left what it was for. */
export const DEVIATION = 'remit:deviation';

/** The same: somebody's risk rose to where its owner had said that this follows. */
export const RISK = 'remit:risk';

/** One text for a subject: `agent scribe`, `all`. */
export const subjectText = ({ kind, id }: RevocationSubject): string => (kind === 'all' ? 'all' : `${kind} ${id}`);

/** What the log, read up to a position, still holds back: the newest row of each subject that is not a `resume`. */
export class Standing {
  #position: number;
  readonly #held = new Map<string, Revocation>();

  constructor(position = 0, held: readonly Revocation[] = []) {
    this.#position = position;
    for (const row of held) this.#hold(row);
  }

  /** Position of the last row that is reckoned in. */
  get position(): number {
    return this.#position;
  }

  /**
   * Reckons in the next row. @throws when it is not the next one: a row that was left out might be the one that matters
   */
  note(row: Revocation): void {
    if (row.position !== this.#position + 1) {
      throw new Error(`the revocation log goes on at ${row.position} after ${this.#position}`);
    }
    this.#position = row.position;
    this.#hold(row);
  }

  /** Begins again from what a store says: at the start, and never later. */
  reset(position: number, held: readonly Revocation[]): void {
    this.#held.clear();
    this.#position = position;
    for (const row of held) this.#hold(row);
  }

  /** What holds a subject back, undefined when nothing does. */
  on(kind: RevocationSubject['kind'], id: string): Revocation | undefined {
    return this.#held.get(`${kind} ${id}`);
  }

  /** Of a task that is over: it cannot be resumed. */
  forgetTask(id: string): void {
    this.#held.delete(`task ${id}`);
  }

  /** Every row that holds something back, in no particular order. */
  held(): readonly Revocation[] {
    return [...this.#held.values()];
  }

  #hold(row: Revocation): void {
    const { kind, id } = row.subject;
    // A lease that was revoked, and a task that was ended, are over: that stands in their own rows.
    if (kind === 'lease') return;
    const isOver = row.action === 'resume' || (kind === 'task' && row.action === 'revoke');
    if (isOver) this.#held.delete(`${kind} ${id}`);
    else this.#held.set(`${kind} ${id}`, row);
  }
}
