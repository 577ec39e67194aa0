/** The same echo over stdio, for what stands in front of stdio servers. */
import { answer, type EchoRequest } from './echo.ts';

let rest = '';
process.stdin.setEncoding('utf8').on('data', (chunk: string) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop() ?? '';
  for (const line of lines) {
    if (line.trim() === '') continue;
    const message = JSON.parse(line) as EchoRequest;
    if (message.id === undefined) continue;
    process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer(message) })}\n`);
  }
});
process.stdin.on('end', () => process.exit(0));
