import { type CallHost, PendingCall } from './pending-call.ts';

/** The connection that a call belongs to, as a call over stdio sees it. */
export interface StdioCallHost extends CallHost {
  /** The call is over. */
  forget(call: StdioCall): void;
  /** The call is over and the server does not know yet. */
  callOff(call: StdioCall, reason: string): void;
}

/** One request on the pipes of a child. */
export class StdioCall extends PendingCall {
  declare protected readonly host: StdioCallHost;

  override finish(): void {
    super.finish();
    this.host.forget(this);
  }

  protected override stop(_error: Error, reason: 'timeout' | 'cancelled' | undefined): void {
    if (reason !== undefined) this.host.callOff(this, reason);
  }
}
