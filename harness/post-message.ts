/** Posts one JSON-RPC message to a gateway's endpoint, as an MCP client does (Streamable HTTP), under a task's token. */
export const postMessage = (
  url: string,
  token: string,
  message: { readonly id: number; readonly method: string; readonly params: object },
  signal?: AbortSignal,
): Promise<Response> =>
  fetch(`${url}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    ...(signal !== undefined && { signal }),
  });
