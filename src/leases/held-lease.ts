import type { Lease } from '../domain/lease.ts';
import type { CredentialInjection } from '../seams/upstream.ts';
import { wipeInjection } from './render-injection.ts';

/** A live credential in this process's memory: whoever opens an upstream connection with it keys that by `lease.id`. */
export interface HeldLease {
  readonly lease: Lease;
  /** Zeroed when the lease ends: look at `isLive` right before using it. */
  readonly injection: CredentialInjection;
  /** False from the moment its revocation has begun. */
  readonly isLive: boolean;
  readonly uses: number;
  /** Marks one user; the returned function, idempotent, ends its use. A renewed lease lives on until its users are done. */
  retain(): () => void;
}

/** The manager's side of a held lease. */
export interface HeldLeaseControl extends HeldLease {
  /** Zeroes the secrets; false when that had happened before. */
  end(): boolean;
  /** Calls back, once, when nobody uses the lease, at once if so already. */
  whenIdle(callback: () => void): void;
}

export function createHeldLease(lease: Lease, injection: CredentialInjection): HeldLeaseControl {
  let isLive = true;
  let uses = 0;
  let onIdle: (() => void) | undefined;
  const signalIdle = () => {
    if (uses > 0) return;
    const callback = onIdle;
    onIdle = undefined;
    callback?.();
  };
  return {
    lease,
    injection,
    get isLive() {
      return isLive;
    },
    get uses() {
      return uses;
    },
    retain() {
      let isInUse = true;
      uses++;
      return () => {
        if (!isInUse) return;
        isInUse = false;
        uses--;
        signalIdle();
      };
    },
    end() {
      const wasLive = isLive;
      isLive = false;
      if (wasLive) wipeInjection(injection);
      return wasLive;
    },
    whenIdle(callback) {
      onIdle = callback;
      signalIdle();
    },
  };
}
