import { RemitError } from '../../domain/errors.ts';

/** The three ways in which a connector fails us, plus the one in which its credential does. None ever carries a secret. */

type Fault = (message: string, more?: { hint?: string; where?: string }) => RemitError;

export const unreachable: Fault = (message, more = {}) => new RemitError('ERR_CONNECTOR_UNREACHABLE', message, more);
export const protocolFault: Fault = (message, more = {}) => new RemitError('ERR_CONNECTOR_PROTOCOL', message, more);
export const timedOut: Fault = (message, more = {}) => new RemitError('ERR_CONNECTOR_TIMEOUT', message, more);

/** The same fault for a call of which nothing was written. A copy: other calls, which were written, may have it too. */
export function unsent(error: Error): Error {
  if (!(error instanceof RemitError) || error.isUnsent) return error;
  const { code, message, where, hint } = error;
  return new RemitError(code, message, {
    isUnsent: true,
    ...(where === undefined ? {} : { where }),
    ...(hint === undefined ? {} : { hint }),
  });
}

/** What a cancelled call rejects with. The reason is the gateway's own word. */
export function calledOff(reason: string | undefined, more: { where?: string } = {}): RemitError {
  return unreachable(`The call was given up before the connector replied (${reason ?? 'called off'})`, more);
}
