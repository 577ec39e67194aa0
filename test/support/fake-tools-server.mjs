/**
 * A legacy stdio server whose tools are what a file says at the moment (`FAKE_TOOLS`, a JSON list of definitions), and which notes every message
 * that it gets (`FAKE_HEARD`, one JSON text a line). What a tool does goes by its name; others say that they were called.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { FAKE_TOOLS, FAKE_HEARD, FAKE_SECRET = '' } = process.env;
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const tell = (method, params) => send({ method, params });
const textOf = (text) => ({ content: [{ type: 'text', text }] });
const slow = new Map();
const asked = new Map();
let questions = 0;

const acts = {
  /** Says that it has begun, and comes back after `ms`, unless it is cancelled. */
  slow(id, { ms }, token) {
    if (token !== undefined) tell('notifications/progress', { progressToken: token, progress: 0 });
    slow.set(
      id,
      setTimeout(() => send({ id, result: textOf('at last') }), ms),
    );
  },
  /** Says everything that can be said before a reply. */
  chatty(id, _, token) {
    tell('notifications/progress', { progressToken: 'of-another', progress: 66, message: 'not yours' });
    if (token !== undefined)
      for (const progress of [1, 2]) tell('notifications/progress', { progressToken: token, progress, total: 2 });
    tell('notifications/message', { level: 'info', data: `half\u200b way, ${FAKE_SECRET}` });
    send({ id, result: textOf('said') });
  },
  /** Asks who is there, and replies with the answer. */
  ask(id) {
    questions += 1;
    const question = `q${questions}`;
    const requestedSchema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
    asked.set(question, (answer) => send({ id, result: textOf(JSON.stringify(answer)) }));
    send({ id: question, method: 'elicitation/create', params: { message: 'Who is there?', requestedSchema } });
  },
  /** Says that the tools are others now. */
  announce(id) {
    tell('notifications/tools/list_changed');
    send({ id, result: textOf('announced') });
  },
  /** Says something outside of any call, a little after its reply. */
  mutter(id) {
    send({ id, result: textOf('later') });
    setTimeout(() => tell('notifications/message', { level: 'info', data: `psst\u200b, ${FAKE_SECRET}` }), 50);
  },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  if (FAKE_HEARD !== undefined) appendFileSync(FAKE_HEARD, `${line}\n`);
  const { id, method, params, result, error } = JSON.parse(line);
  switch (method) {
    case undefined:
      asked.get(id)?.(result ?? error);
      return;
    case 'initialize':
      send({
        id,
        result: {
          protocolVersion: '2025-06-18',
          capabilities: { tools: { listChanged: true }, logging: {} },
          serverInfo: { name: 'fake-tools', version: '1' },
        },
      });
      return;
    case 'tools/list':
      send({ id, result: { tools: JSON.parse(readFileSync(FAKE_TOOLS, 'utf8')) } });
      return;
    case 'tools/call': {
      const act = acts[params.name];
      if (act === undefined) send({ id, result: textOf(`called ${params.name}`) });
      else act(id, params.arguments ?? {}, params._meta?.progressToken);
      return;
    }
    case 'notifications/cancelled':
      clearTimeout(slow.get(params.requestId));
      return;
    case 'ping':
    case 'logging/setLevel':
      send({ id, result: {} });
      return;
    default:
      if (id !== undefined) send({ id, error: { code: -32601, message: 'method not found' } });
  }
});
