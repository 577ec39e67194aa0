/**
 * FAKE: the HTTP around every fake of a cloud's service: a loopback port, requests read whole, and trouble when a test asks for it. What a
 * service verifies and answers is its own fake's business.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ServiceRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of JSON. */
  readonly text?: string;
}

/** What goes wrong with requests whose `METHOD path` it matches. */
export interface Trouble {
  readonly at: RegExp;
  /** `lose`: done, and never answered. `hang`: neither. `garble`: done, and answered with something else. A number: refused with that status. */
  readonly how: 'lose' | 'hang' | 'garble' | 'huge' | number;
  /** How often; undefined: always. */
  times?: number;
}

export interface FakeService {
  readonly url: string;
  /** `METHOD path`, in order. */
  readonly asked: string[];
  readonly troubles: Trouble[];
  close(): Promise<void>;
}

export async function startFakeService(
  answer: (request: ServiceRequest) => ServiceAnswer | Promise<ServiceAnswer>,
): Promise<FakeService> {
  const asked: string[] = [];
  const troubles: Trouble[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => {});
    request.on('end', () => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://fake');
      const method = request.method ?? '';
      const body = Buffer.concat(chunks).toString();
      void serve({ method, path: pathname, query: searchParams, headers: request.headers, body }, response);
    });
  });

  function troubleAt(line: string): Trouble['how'] | undefined {
    const trouble = troubles.find(({ at, times }) => at.test(line) && times !== 0);
    if (trouble?.times !== undefined) trouble.times -= 1;
    return trouble?.how;
  }

  async function serve(request: ServiceRequest, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.path}`;
    asked.push(line);
    const how = troubleAt(line);
    if (how === 'hang') return;
    if (typeof how === 'number') return send(response, { status: how, body: {} });
    const given = await answer(request);
    if (how === 'lose') return void response.destroy();
    if (how === 'garble') return send(response, { status: 200, text: '<html>not what you asked for</html>' });
    if (how === 'huge') return send(response, { status: 200, text: ' '.repeat(300 * 1024) });
    send(response, given);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    troubles,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(response: ServerResponse, { status, body, text, headers = {} }: ServiceAnswer): void {
  if (body === undefined && text === undefined) return void response.writeHead(status, headers).end();
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(text ?? JSON.stringify(body));
}
