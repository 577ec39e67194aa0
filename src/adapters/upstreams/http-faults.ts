import { RemitError } from '../../domain/errors.ts';
import type { RpcError } from '../../seams/upstream.ts';
import { protocolFault, unreachable } from './upstream-faults.ts';

export interface HttpPeer {
  /** What the operator knows the connector by. */
  readonly where: string;
  readonly hasCredential: boolean;
}

/** Statuses that speak of the credential or the session, whatever the body says. */
export function isRefusal(status: number, hasSession: boolean): boolean {
  return status === 401 || status === 403 || isSessionGone(status, hasSession);
}

/**
 * MCP basic/transports, session management: 404 to a request with a session id means that the session has ended. Servers that say 400
 * instead are common; they tell it in an error of no request.
 */
export function isSessionGone(status: number, hasSession: boolean, error?: RpcError): boolean {
  if (!hasSession) return false;
  return status === 404 || (status === 400 && error !== undefined && /\bsession\b/i.test(error.message));
}

/** Statuses that may be others a moment later. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** What a status from 300 on means. Neither bodies nor headers are quoted. */
export function statusFault(status: number, isGone: boolean, { where, hasCredential }: HttpPeer): RemitError {
  if (status === 401 || status === 403) {
    const hint = hasCredential
      ? 'It refused the credential that was leased for this task: check its rights and that it is still valid.'
      : 'It asks for a credential: configure one for this connector.';
    return unreachable(`The connector refused access (HTTP ${status})`, { where, hint });
  }
  if (isGone) return unreachable(`The connector no longer knows the session (HTTP ${status})`, { where });
  if (status < 400) return protocolFault(`The connector redirects (HTTP ${status}), which is not followed`, { where });
  return (status === 404 || isPassing(status) ? unreachable : protocolFault)(`The connector answered HTTP ${status}`, {
    where,
  });
}

/** Errors of the transport by their code only: their messages may quote what was sent. */
export function transportFault(error: Error, { where }: HttpPeer): RemitError {
  if (error instanceof RemitError) return error;
  const { code } = error as NodeJS.ErrnoException;
  return unreachable(`The connection to the connector failed (${code ?? error.name})`, { where });
}
