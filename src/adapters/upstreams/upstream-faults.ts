import { RemitError } from '../../domain/errors.ts';

/** The three ways in which a connector fails us, plus the one in which its credential does. None ever carries a secret. */

type Fault = (message: string, more?: { hint?: string; where?: string }) => RemitError;

export const unreachable: Fault = (message, more = {}) => new RemitError('ERR_CONNECTOR_UNREACHABLE', message, more);
export const protocolFault: Fault = (message, more = {}) => new RemitError('ERR_CONNECTOR_PROTOCOL', message, more);
export const timedOut: Fault = (message, more = {}) => new RemitError('ERR_CONNECTOR_TIMEOUT', message, more);

/** What a cancelled call rejects with. The reason is the gateway's own word. */
export function calledOff(reason: string | undefined, more: { where?: string } = {}): RemitError {
  return unreachable(`The call was given up before the connector replied (${reason ?? 'called off'})`, more);
}
