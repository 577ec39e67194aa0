/** The same echo over stdio, for what stands in front of stdio servers: answers, and progress as a tool that works would send it. */
import { answer, type EchoRequest } from './echo.ts';

const write = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

let rest = '';
process.stdin.setEncoding('utf8').on('data', (chunk: string) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop() ?? '';
  for (const line of lines) {
    if (line.trim() === '') continue;
    const message = JSON.parse(line) as EchoRequest;
    if (message.id === undefined) continue;
    const { arguments: args, _meta: meta } = message.params ?? {};
    const events = meta?.progressToken === undefined ? 0 : (args?.events ?? 0);
    tell(message, events, 1);
  }
});
process.stdin.on('end', () => process.exit(0));

/** One event each turn of the event loop, then the answer. */
function tell(message: EchoRequest, events: number, progress: number): void {
  if (progress > events) {
    write({ jsonrpc: '2.0', id: message.id, ...answer(message) });
    return;
  }
  const progressToken = message.params?._meta?.progressToken;
  write({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress, total: events } });
  setImmediate(tell, message, events, progress + 1);
}
