import type { TaskId } from '../../domain/ids.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';
import type { Caller } from '../stages/authenticate.ts';

/**
 * Multi-round-trip requests of modern clients (2026-07-28, MRTR) over upstreams that ask while a call is under way: the call is parked, the
 * client gets `input_required`, and its retry goes on with the parked call.
 */
export interface Rounds {
  /**
   * Answers one modern request: runs `start` with a client side that parks, or, where `requestState` names a parked call of the same
   * caller and the same request, goes on with that.
   */
  answer(
    caller: Caller,
    request: ClientRequest,
    start: (request: ClientRequest) => Promise<MethodAnswer>,
  ): Promise<MethodAnswer>;
  /** Ends what is parked for a task. */
  endTask(task: TaskId): void;
  closeAll(): void;
  /** Calls that are parked now. */
  readonly size: number;
}
