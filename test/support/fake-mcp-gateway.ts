import { WATCHER_PLAN } from '../../src/adapters/upstreams/probe-containment.ts';
import { createStdioOpener } from '../../src/adapters/upstreams/stdio-upstream.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { NO_CREDENTIAL } from '../../src/seams/upstream.ts';
import { CLIENT, contain, FAKE_STDIO_COMMAND, schedule } from './fake-mcp-setup.ts';

/**
 * A gateway in miniature, to be killed: starts `FAKE_COUNT` connectors whose grandchildren carry `FAKE_MARKER`, and says
 * on standard output what it has done, a line of JSON each time.
 */
const { FAKE_MODE, FAKE_MARKER = '', FAKE_WIPED = '0', FAKE_COUNT = '1', FAKE_END } = process.env;
const containment = await contain(FAKE_MODE === 'watcher' ? WATCHER_PLAN : undefined);
const say = (what: object): boolean => process.stdout.write(`${JSON.stringify(what)}\n`);
say({ said: 'starting', mode: containment.mode, instance: containment.instance, watcher: containment.watcher.pid });
const opener = createStdioOpener({
  command: FAKE_STDIO_COMMAND,
  environment: { FAKE_START: 'stubborn', FAKE_DAEMON: FAKE_MARKER, FAKE_WIPED },
  containment,
  clientInfo: CLIENT,
  schedule,
});
const one = {
  connector: connectorId('fake'),
  task: taskId('tsk_a'),
  injection: NO_CREDENTIAL,
  timeoutMs: 15_000,
  prefer: 'legacy',
  clientCapabilities: {},
} as const;
await Promise.all(Array.from({ length: Number(FAKE_COUNT) }, () => opener.open(one)));
say({ said: 'open' });
if (FAKE_END === 'exit') process.exit(0);
if (FAKE_END === 'throw') setTimeout(() => Promise.reject(new Error('on purpose')), 0);
setInterval(() => {}, 1_000);
