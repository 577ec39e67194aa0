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
  /** How many hold on to it now. */
  readonly uses: number;
  /** Calls made with it so far. */
  readonly calls: number;
  countCall(): void;
  /** Marks one user; the returned function, idempotent, ends its use. A renewed lease lives on until its users are done. */
  retain(): () => void;
  /** There for a lease of mode `call` alone: the call that it was acquired for is over, and so is the lease when its users are done. */
  readonly endCall: (() => void) | undefined;
}

/** The manager's side of a held lease. */
export interface HeldLeaseControl extends HeldLease {
  /** Zeroes the secrets; false when that had happened before. */
  end(): boolean;
  /** Calls back, once, when nobody uses the lease, at once if so already. */
  whenIdle(callback: () => void): void;
}

/** Whether connections opened with a lease that is retired for this reason may finish what is under way on them. */
export const mayFinish = (reason: string): boolean => reason === 'renewed' || reason === 'call_over';

export function createHeldLease(
  lease: Lease,
  injection: CredentialInjection,
  onCallOver?: () => void,
): HeldLeaseControl {
  let isLive = true;
  let uses = 0;
  let calls = 0;
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
    get calls() {
      return calls;
    },
    countCall() {
      calls++;
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
    endCall: lease.mode === 'call' ? onCallOver : undefined,
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
