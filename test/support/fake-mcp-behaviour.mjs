/**
 * What the fake MCP servers do, whatever they speak over. `session` is
 * `{ received: message[], credential, version, answers: Map }`, where `answers` holds what the client answered to the
 * server's own requests; `send(text)` writes one message toward the client.
 */
export function behave(message, session, send) {
  session.received.push(message);
  const { id, method, params } = message;
  if (method === undefined) {
    session.answers.set(id, message);
    session.onAnswer?.();
    return;
  }
  const reply = (result) => send(JSON.stringify({ jsonrpc: '2.0', id, result }));
  const refuse = (code, text, data) =>
    send(JSON.stringify({ jsonrpc: '2.0', id, error: { code, message: text, data } }));
  switch (method) {
    case 'initialize':
      if (session.version === 'silent') return;
      if (session.version === 'refuse') return refuse(-32600, `no entry with ${session.credential}`);
      reply({ protocolVersion: session.version, capabilities: {}, serverInfo: { name: 'fake', version: '1' } });
      return;
    case 'echo':
      setTimeout(reply, params.delay ?? 0, { echo: params });
      return;
    case 'refuse':
      return refuse(-32001, 'refused', { why: 'asked to' });
    case 'received':
      return reply({ messages: session.received });
    case 'credential':
      return reply({ credential: session.credential });
    case 'raw':
      return send(params.text.replaceAll('$ID', String(id)));
    case 'foreign':
      for (let other = id - 50; other < id + 50; other += 1) {
        if (other !== id) send(JSON.stringify({ jsonrpc: '2.0', id: other, result: { stolen: true } }));
      }
      return reply({ own: true });
    case 'ask':
      send(JSON.stringify({ jsonrpc: '2.0', id: 'q1', method: 'ping' }));
      send(JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'sampling/createMessage', params: {} }));
      send(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } }));
      session.onAnswer = () => {
        if (session.answers.size === 2) reply({ ping: session.answers.get('q1'), sampling: session.answers.get(7) });
      };
      return;
  }
}
