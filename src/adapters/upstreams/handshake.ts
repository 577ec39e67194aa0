import type { UpstreamReply } from '../../seams/upstream.ts';
import { notificationText } from './json-rpc.ts';
import { protocolFault } from './upstream-faults.ts';

/** MCP lifecycle of the revisions with a handshake (≤ 2025-11-25), seen from the client. */

export interface ClientInfo {
  readonly name: string;
  readonly version: string;
}

/** Offered first; a server may answer with any revision of the list. */
const OFFERED_VERSION = '2025-11-25';
const ACCEPTED_VERSIONS: readonly unknown[] = ['2024-10-07', '2024-11-05', '2025-03-26', '2025-06-18', OFFERED_VERSION];

export const INITIALIZED = notificationText('notifications/initialized');

/** No capabilities: nothing that a server could ask for (roots, sampling, elicitation) is answered on this path. */
export function initializeParams(clientInfo: ClientInfo): string {
  const { name, version } = clientInfo;
  return JSON.stringify({ protocolVersion: OFFERED_VERSION, capabilities: {}, clientInfo: { name, version } });
}

/**
 * The revision that the server chose.
 * @param redact takes out of the server's own words whatever must not be shown
 * @throws `ERR_CONNECTOR_PROTOCOL` where it refused, or chose one that we do not speak
 */
export function negotiatedVersion(reply: UpstreamReply, where: string, redact: (text: string) => string): string {
  const hint = `The server must speak an MCP revision with an initialize handshake, up to ${OFFERED_VERSION}.`;
  if ('error' in reply) {
    const said = redact(reply.error.message).slice(0, 200);
    throw protocolFault(`The server refused to initialise (${reply.error.code}): ${said}`, { where, hint });
  }
  const version = reply.result.protocolVersion;
  if (typeof version !== 'string' || !ACCEPTED_VERSIONS.includes(version)) {
    throw protocolFault('The server chose a protocol revision that is not supported', { where, hint });
  }
  return version;
}
