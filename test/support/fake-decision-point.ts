import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What came in. */
export interface AskedOnce {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
}

export interface FakeDecisionPoint {
  readonly url: string;
  readonly asked: readonly AskedOnce[];
  /** How one question is answered; the default permits. A number is a status, a text is sent as it stands, `hang` never answers. */
  answer: (question: Record<string, unknown>) => unknown;
  close(): Promise<void>;
}

/**
 * A decision point after the published APIs: `/access/v1/evaluation` and `/evaluations` of AuthZEN 1.0 (sections 6 and 7), and OPA's `/v1/data/…`.
 * It stands for any; it decides what a test tells it to.
 */
export async function startFakeDecisionPoint(): Promise<FakeDecisionPoint> {
  const asked: AskedOnce[] = [];
  const point: { answer: FakeDecisionPoint['answer'] } = { answer: () => ({ decision: true }) };
  const server = createServer(async (request, response) => {
    const body = JSON.parse(await textOf(request)) as Record<string, unknown>;
    const path = request.url ?? '';
    asked.push({ path, authorization: request.headers.authorization, body });
    const said = answerTo(path, body, (question) => point.answer(question));
    if (said === 'hang') return;
    if (typeof said === 'number') response.writeHead(said, { location: '/elsewhere' }).end('{"decision":true}');
    else {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(typeof said === 'string' ? said : JSON.stringify(said));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    get answer() {
      return point.answer;
    },
    set answer(answer) {
      point.answer = answer;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answerTo(path: string, body: Record<string, unknown>, answer: FakeDecisionPoint['answer']): unknown {
  if (path === '/access/v1/evaluation') return answer(body);
  if (path.startsWith('/v1/data/')) return answer(body.input as Record<string, unknown>);
  if (path !== '/access/v1/evaluations') return 404;
  const answers = (body.evaluations as Record<string, unknown>[]).map(answer);
  // What is no decision is the whole answer.
  return answers.find((one) => typeof one !== 'object') ?? { evaluations: answers };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}
