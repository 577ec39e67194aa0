/**
 * A stdio MCP server that misbehaves on request. `FAKE_VERSION` is the revision it answers with (or `silent`, `refuse`),
 * `FAKE_START` what it does before anything else, `FAKE_DISCOVER` what it makes of `server/discover` (`die`, `ignore`), `FAKE_SLOW` how many
 * milliseconds pass before it reads; methods of its own come on top of fake-mcp-behaviour.mjs.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { behave } from './fake-mcp-behaviour.mjs';

const { FAKE_VERSION = '2025-06-18', FAKE_START, FAKE_SECRET } = process.env;
const write = (text) => process.stdout.write(text);
const send = (text) => write(`${text}\n`);
const session = {
  received: [],
  credential: FAKE_SECRET,
  version: FAKE_VERSION,
  answers: new Map(),
};

/** A grandchild that leaves the session; `wiped` also drops the environment. Its command line carries the marker. */
function daemonise(marker, wiped) {
  const program = 'process.on("SIGTERM",()=>{});process.on("SIGHUP",()=>{});setInterval(()=>{},1000)';
  const inner = `require("node:child_process").spawn(process.execPath,["-e",${JSON.stringify(program)},${JSON.stringify(marker)}],{detached:true,stdio:"ignore"${wiped ? ',env:{}' : ''}}).unref();process.exit(0)`;
  return new Promise((resolve) =>
    spawn(process.execPath, ['-e', inner], { detached: true, stdio: 'ignore' }).once('exit', resolve),
  );
}

switch (FAKE_START) {
  case 'crash':
    process.stderr.write(`${'x'.repeat(10_000)}\ncannot log in with ${FAKE_SECRET}, giving up\n`);
    process.exitCode = 3;
    process.stdin.destroy();
    break;
  case 'stubborn':
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => {});
    setInterval(() => {}, 1000);
    break;
  case 'banner':
    write('Welcome to the fake server\n{"not":"json-rpc"}\n\n[]\n');
    break;
}
if (process.env.FAKE_DAEMON !== undefined) await daemonise(process.env.FAKE_DAEMON, process.env.FAKE_WIPED === '1');

function own({ id, method, params }) {
  const reply = (result) => send(JSON.stringify({ jsonrpc: '2.0', id, result }));
  switch (method) {
    case 'server/discover':
      if (process.env.FAKE_DISCOVER === 'die') process.exit(9);
      return process.env.FAKE_DISCOVER === 'ignore';
    case 'look':
    case 'touch':
      try {
        reply(
          method === 'look' ? { found: readdirSync(params.path) } : { wrote: writeFileSync(params.path, 'x') ?? true },
        );
      } catch (error) {
        reply({ code: error.code });
      }
      return true;
    case 'unlisten':
      for (const [listen] of session.listens) {
        session.listens.delete(listen);
        send(JSON.stringify({ jsonrpc: '2.0', id: listen, result: { resultType: 'complete' } }));
      }
      reply({ resultType: 'complete' });
      return true;
    case 'interrogate': {
      let refused = 0;
      session.onAnswer = () => {
        refused = [...session.answers.values()].filter((answer) => answer.error !== undefined).length;
        if (refused === params.questions - 64) reply({ refused });
      };
      for (let count = 0; count < params.questions; count += 1)
        send(JSON.stringify({ jsonrpc: '2.0', id: `i${count}`, method: 'roots/list' }));
      return true;
    }
    case 'read':
      reply({ text: readFileSync(params.path, 'utf8') });
      return true;
    case 'reach': {
      const socket = connect(params.port, '127.0.0.1');
      socket.once('connect', () => reply({ reached: true })).once('error', (error) => reply({ code: error.code }));
      return true;
    }
    case 'proxied': {
      // As programs do that know the variables of a proxy; plain http is asked for by its whole URL.
      const proxy = new URL(process.env.HTTPS_PROXY);
      const { method = 'CONNECT', path } = params;
      const asked = request({ host: proxy.hostname, port: proxy.port, method, path, agent: false });
      asked.once('error', (error) => reply({ code: error.code }));
      asked.once('connect', (response, socket, head) => {
        if (response.statusCode !== 200) return socket.end(() => reply({ status: response.statusCode }));
        let text = String(head);
        socket
          .on('data', (chunk) => {
            text += chunk;
          })
          .once('end', () => reply({ status: 200, text }));
        socket.end('hello');
      });
      asked.once('response', (response) => {
        let text = '';
        response
          .on('data', (chunk) => {
            text += chunk;
          })
          .once('end', () => reply({ status: response.statusCode, text }));
      });
      asked.end();
      return true;
    }
    case 'environment':
      reply({ environment: process.env, folder: process.cwd() });
      return true;
    case 'daemonise':
      void daemonise(params.marker, params.wiped).then(() => reply({}));
      return true;
    case 'die':
      process.exit(params.code);
      return true;
    case 'flood':
      for (let count = 0; count < params.lines; count += 1) process[params.to].write(`${'y'.repeat(params.size)}\n`);
      reply({ flooded: true });
      return true;
    case 'drip':
      write(params.text);
      if (params.thenEnd) setTimeout(() => process.exit(0), 10);
      return true;
    case 'mute':
      process.stdout.end();
      return true;
    case 'deaf':
      process.stdin.pause();
      if (params.resumeAfter !== undefined) setTimeout(() => process.stdin.resume(), params.resumeAfter);
      for (let count = 0; count < params.questions; count += 1)
        write(`{"jsonrpc":"2.0","id":"${'q'.repeat(200)}${count}","method":"ping"}\n`);
      return true;
    default:
      return false;
  }
}

if (process.env.FAKE_SLOW !== undefined) await new Promise((resolve) => setTimeout(resolve, process.env.FAKE_SLOW));
let held = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const lines = (held + text).split(/\n|\r|\u2028|\u2029|\u0085/); // as the widest of line readers does
  held = lines.pop();
  for (const line of lines) {
    if (line.trim() === '') continue;
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      session.received.push({ method: 'unparsable' });
      continue;
    }
    if (!own(message)) behave(message, session, send);
  }
});
