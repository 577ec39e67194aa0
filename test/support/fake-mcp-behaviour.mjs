/**
 * What the fake MCP servers do, whatever they speak over. `session` is
 * `{ received: message[], credential, version, answers: Map }`, where `answers` holds what the client answered to the
 * server's own requests; `send(text)` writes one message toward the client, as part of the request's exchange, and
 * `session.outside(text)`, where there is one, outside of any. Version `modern` speaks 2026-07-28 only, `dual` both eras.
 */
const CAPABILITIES = { logging: {}, tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } };
const TAG = 'io.modelcontextprotocol/subscriptionId';

export function behave(message, session, send) {
  session.received.push(message);
  const { id, method, params } = message;
  if (method === undefined) {
    session.answers.set(id, message);
    session.onAnswer?.();
    return;
  }
  const isModern = params?._meta?.['io.modelcontextprotocol/protocolVersion'] !== undefined;
  const reply = (result) =>
    send(JSON.stringify({ jsonrpc: '2.0', id, result: isModern ? { ...result, resultType: 'complete' } : result }));
  const refuse = (code, text, data) =>
    send(JSON.stringify({ jsonrpc: '2.0', id, error: { code, message: text, data } }));
  const tell = (name, more, write = send) => write(JSON.stringify({ jsonrpc: '2.0', method: name, params: more }));
  const ask = (question, name, more) =>
    send(JSON.stringify({ jsonrpc: '2.0', id: question, method: name, params: more }));
  /** Tells something outside of requests, as the era does. */
  const tellOutside = (name, more = {}) => {
    const write = session.outside ?? send;
    if (!isModern) return tell(name, more, write);
    for (const [tag, { filter, write: listener }] of session.listens ?? []) {
      const isWanted = name.endsWith('updated')
        ? filter.resourceSubscriptions?.includes(more.uri)
        : filter.toolsListChanged;
      if (isWanted) tell(name, { ...more, _meta: { [TAG]: tag } }, listener);
    }
  };
  switch (method) {
    case 'initialize':
      if (session.version === 'silent') return;
      if (session.version === 'modern')
        return refuse(-32022, 'unsupported protocol version', { supported: ['2026-07-28'] });
      if (session.version === 'refuse') return refuse(-32600, `no entry with ${session.credential}`);
      reply({
        protocolVersion: session.version === 'dual' ? '2025-11-25' : session.version,
        capabilities: CAPABILITIES,
        serverInfo: { name: 'fake', version: '1' },
      });
      return;
    case 'server/discover':
      if (session.version === 'silent') return;
      if (session.version === 'refuse') return refuse(-32600, `no entry with ${session.credential}`);
      if (session.version !== 'modern' && session.version !== 'dual') return refuse(-32601, 'method not found');
      return reply({ supportedVersions: ['2026-07-28'], capabilities: CAPABILITIES, ttlMs: 0, cacheScope: 'private' });
    case 'subscriptions/listen': {
      const { notifications: filter } = params;
      session.listens ??= new Map();
      session.listens.set(id, { filter, write: send });
      const resourceSubscriptions = filter.resourceSubscriptions?.filter((uri) => !uri.startsWith('no:'));
      const honoured = { ...filter, ...(resourceSubscriptions === undefined ? {} : { resourceSubscriptions }) };
      return tell('notifications/subscriptions/acknowledged', { notifications: honoured, _meta: { [TAG]: id } });
    }
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return params.uri.startsWith('no:') ? refuse(-32602, 'no such resource') : reply({});
    case 'logging/setLevel':
      return reply({});
    case 'change':
      tellOutside('notifications/tools/list_changed');
      tellOutside('notifications/resources/updated', { uri: 'x://1' });
      tellOutside('notifications/resources/updated', { uri: 'x://2' });
      return reply({});
    case 'announce': {
      const token = params._meta?.progressToken;
      tell('notifications/progress', { progressToken: 'of-another', progress: 1 });
      if (token !== undefined) tell('notifications/progress', { progressToken: token, progress: 2, total: 3 });
      tell('notifications/message', { level: 'info', data: 'hello' });
      return reply({ token });
    }
    case 'elicit':
      ask('e1', 'elicitation/create', { message: 'who?', requestedSchema: { type: 'object', properties: {} } });
      if (params.takeBack) {
        tell('notifications/cancelled', { requestId: 'e1' });
        return setTimeout(reply, 50, { takenBack: true });
      }
      session.onAnswer = () => {
        const answer = session.answers.get('e1');
        if (answer !== undefined) reply({ answer: answer.result ?? answer.error });
      };
      return;
    case 'echo': {
      const { _meta, ...rest } = params;
      setTimeout(reply, params.delay ?? 0, { echo: rest });
      return;
    }
    case 'meta':
      return reply({ meta: params._meta ?? null });
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
      ask('q1', 'ping');
      ask(7, 'sampling/createMessage', {});
      tell('notifications/progress', { progress: 1 });
      session.onAnswer = () => {
        if (session.answers.size === 2) reply({ ping: session.answers.get('q1'), sampling: session.answers.get(7) });
      };
      return;
  }
}
