/**
 * Program of the relay, given to `node -e` within a sandbox that has no network but its own loopback: as text, so that it needs no file there.
 * CommonJS, no dependencies.
 *
 * Arguments: the path of the gateway's socket, the descriptors that the command inherits (`3,4` or `-`), then the command. It listens on a
 * loopback port of the sandbox, hands each connection on to that socket, and runs the command with the usual variables of a proxy set
 * to it. It ends as the command does.
 */
export const EGRESS_RELAY_SCRIPT = `'use strict';
const net = require('node:net');
const { spawn } = require('node:child_process');
const [, path, inherited, program, ...args] = process.argv;
const descriptors = inherited === '-' ? [] : inherited.split(',').map(Number);

const server = net.createServer({ allowHalfOpen: true }, (inner) => {
  const outer = net.connect({ path, allowHalfOpen: true });
  const end = () => { inner.destroy(); outer.destroy(); };
  inner.on('error', end).on('close', end);
  outer.on('error', end).on('close', end);
  inner.pipe(outer).pipe(inner);
});
server.on('error', (error) => { console.error('remit: the relay cannot listen: ' + error.code); process.exit(70); });
server.listen(0, '127.0.0.1', () => {
  const proxy = 'http://127.0.0.1:' + server.address().port;
  const env = { ...process.env, NODE_USE_ENV_PROXY: '1', NO_PROXY: '', no_proxy: '' };
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']) env[name] = env[name.toLowerCase()] = proxy;
  const stdio = ['inherit', 'inherit', 'inherit'];
  for (const number of descriptors) {
    while (stdio.length < number) stdio.push('ignore');
    stdio[number] = number;
  }
  // The command hears what is sent to its group; the relay only waits for it.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {});
  const child = spawn(program, args, { env, stdio });
  child.on('error', (error) => { console.error('remit: the program cannot be started: ' + error.code); process.exit(127); });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (require('node:os').constants.signals[signal] ?? 0)));
});
`;
