/** What has been used before: by an agent under a template, or shown by a connector. */
export type UseKind = 'tool' | 'destination' | 'definition';

export interface Use {
  /** Whose history: `agent scribe reports`, `connector crm`. */
  readonly scope: string;
  readonly kind: UseKind;
  /** A ref, a keyed digest of a destination, or a ref and its fingerprint. */
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly firstAt: number;
}

/** Uses of one scope, and since when there are any. */
export interface Past {
  readonly scope: string;
  readonly since: number;
  has(kind: UseKind, value: string): boolean;
  /** Made durable in the background: one that is lost counts as new once more. @returns whether it is kept from now on */
  add(kind: UseKind, value: string, now: number): boolean;
}

export interface History {
  /** Made where there is none yet. */
  of(scope: string, now: number): Past;
  /** What was done elsewhere is known from now on. */
  learn(uses: readonly Use[]): void;
}

/** Of one scope (guarantee I3): what is beyond is not kept, and so is new each time. */
const MOST_USES = 5_000;

export function createHistory(known: readonly Use[], keep: (use: Use) => void): History {
  const pasts = new Map<string, ReturnType<typeof makePast>>();

  function makePast(scope: string, now: number) {
    const values = new Set<string>();
    const past = {
      scope,
      since: now,
      values,
      has: (kind: UseKind, value: string) => values.has(`${kind} ${value}`),
      add(kind: UseKind, value: string, at: number) {
        if (past.has(kind, value)) return true;
        if (values.size >= MOST_USES) return false;
        values.add(`${kind} ${value}`);
        keep({ scope, kind, value, firstAt: at });
        return true;
      },
    };
    return past;
  }

  function pastOf(scope: string, now: number) {
    let past = pasts.get(scope);
    if (past === undefined) {
      past = makePast(scope, now);
      pasts.set(scope, past);
    }
    return past;
  }

  function learn(uses: readonly Use[]): void {
    for (const { scope, kind, value, firstAt } of uses) {
      const past = pastOf(scope, firstAt);
      past.since = Math.min(past.since, firstAt);
      past.values.add(`${kind} ${value}`);
    }
  }

  learn(known);
  return { of: pastOf, learn };
}
