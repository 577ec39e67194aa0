import { messageOf } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { PaceRepository } from '../seams/shared-store.ts';
import { HOLD_MS, NOTHING_MS } from './bounds.ts';

/** A pace of calls a minute that all nodes of a store keep together, as one of them sees it. */
export interface SharedPace {
  /** Calls that count now, of all nodes, as far as it is known here. */
  count(): number;
  /** Whether one more call may be made now: this node holds it. Two comparisons. */
  hasRoom(): boolean;
  /** Counts one call; after `hasRoom`. More is asked for in time, in the background. */
  take(): void;
  /** Where this node holds nothing: resolves when the store was asked for more. Undefined: it need not be. Never rejects. */
  replenish(): Promise<void> | undefined;
  /** Whether nothing can be had because the store did not answer. */
  readonly isUnknown: boolean;
  /** Gives back what is held. */
  close(): Promise<void>;
}

export interface SharedPaceParts {
  readonly tenant: TenantId;
  readonly name: string;
  readonly perMinute: number;
  /** Of this process and no other, earlier lives of the node included: what those held may have been used to the last. */
  readonly holder: string;
  readonly repository: PaceRepository;
  /** Never set back nor forward. */
  readonly monotonic: Clock;
  readonly schedule: Schedule;
  readonly log: Log;
}

/** What a node takes at first is this part of the bound: small, since others cannot have it meanwhile. */
const FIRST_PART = 20;
/** At most this part, however fast it goes. */
const LARGEST_PART = 2;

/**
 * Holds a part of the bound, taken from the store in advance; the store counts it as if it were used until it has been given back, or could
 * have been used last a minute ago. So no more calls are made in any 60 seconds than the bound says, whatever is lost.
 */
export function createSharedPace(parts: SharedPaceParts): SharedPace {
  const { tenant, name, perMinute, holder, repository, monotonic, schedule, log } = parts;
  const first = Math.ceil(perMinute / FIRST_PART);
  const largest = Math.ceil(perMinute / LARGEST_PART);
  let left = 0;
  /** Made since the store was told. */
  let used = 0;
  /** Made by anybody, as the store said last. */
  let made = 0;
  let heldUntil = Number.NEGATIVE_INFINITY;
  let nothingUntil = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  let cancel = (): void => {};
  let isUnknown = false;
  let isClosed = false;

  async function draw(want: number): Promise<void> {
    const begun = monotonic();
    if (begun >= heldUntil) left = 0;
    const told = used;
    const keep = Math.min(left, want);
    left = keep;
    const answer = await repository.draw(tenant, name, {
      holder,
      used: told,
      keep,
      want,
      most: perMinute,
      holdMs: HOLD_MS,
    });
    isUnknown = false;
    used -= told;
    made = answer.made;
    left += answer.more;
    heldUntil = begun + HOLD_MS;
    if (answer.more === 0 && want > keep) nothingUntil = monotonic() + NOTHING_MS;
  }

  function ask(want: number): Promise<void> {
    asking ??= draw(want)
      .catch((error: unknown) => {
        isUnknown = true;
        nothingUntil = monotonic() + NOTHING_MS;
        log.warn({ pace: name, error: messageOf(error) }, 'a share of a pace could not be had from the store');
      })
      .finally(() => {
        asking = undefined;
        cancel();
        if (!isClosed && (left > 0 || used > 0)) cancel = schedule(HOLD_MS / 2, settle);
      });
    return asking;
  }

  /** Who has called holds on; who has not gives back, so that the others may have all of it. */
  function settle(): void {
    void ask(used > 0 ? wish() : 0);
  }

  /** Twice what was made lately. */
  const wish = (): number => Math.min(largest, Math.max(first, 2 * used));

  const hasRoom = (): boolean => left > 0 && monotonic() < heldUntil;

  return {
    count: () => made + used,
    hasRoom,
    take() {
      left -= 1;
      used += 1;
      if (left <= used && asking === undefined && monotonic() >= nothingUntil) void ask(wish());
    },
    replenish: () => (hasRoom() || isClosed || monotonic() < nothingUntil ? undefined : ask(wish())),
    get isUnknown() {
      return isUnknown;
    },
    async close() {
      isClosed = true;
      cancel();
      await asking;
      if (left > 0 || used > 0) await ask(0);
    },
  };
}
