/** What fake servers of harnesses and benchmark answer before anything of their own: a legacy handshake, and `ping`; undefined for any other method. */
export function answerHandshake(
  name: string,
  method: string,
  protocolVersion: string | undefined,
): { readonly result: object } | undefined {
  if (method === 'ping') return { result: {} };
  if (method !== 'initialize') return undefined;
  return { result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name, version: '1' } } };
}

/** JSON-RPC 2.0 §5.1. */
export const METHOD_NOT_FOUND = { error: { code: -32601, message: 'Method not found' } };
