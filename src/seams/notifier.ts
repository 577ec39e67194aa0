import type { ApprovalId } from '../domain/ids.ts';

/** What people are told: that something waits for them, and where. Nothing of the call: a channel is read by others too. */
export interface ApprovalNotice {
  readonly approval: ApprovalId;
  readonly url: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Tells people that an approval waits. Cardinality: any number. */
export interface Notifier {
  /** @throws when it could not be told: logged, and nothing else follows */
  notify(notice: ApprovalNotice): Promise<void>;
}
