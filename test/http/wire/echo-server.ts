import { readBody } from '../../../src/gateway/edge/read-body.ts';
import { sendAnswer } from '../../../src/gateway/edge/send-answer.ts';
import { type HttpServer, type HttpServerOptions, openHttpServer, type Routes } from '../../../src/http/server.ts';
import type { Schedule } from '../../../src/seams/clock.ts';

export interface EchoServer {
  readonly server: HttpServer;
  readonly port: number;
  readonly host: string;
  /** For each request that reached the endpoint, whether it was read from the wire. */
  readonly taken: boolean[];
}

/** A real server whose MCP endpoint answers with all that it was given. */
export async function startEcho(
  options: HttpServerOptions & {
    readonly schedule?: Schedule;
    /** Serves instead of the echo. */
    readonly mcp?: Routes['mcp'];
    readonly relay?: Routes['relay'];
  } = {},
): Promise<EchoServer> {
  const realTime: Schedule = (ms, task) => {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  };
  const server = await openHttpServer(
    '127.0.0.1',
    0,
    { clock: () => 1_800_000_000_000, schedule: options.schedule ?? realTime },
    options,
  );
  const taken: boolean[] = [];
  const echo: Routes['mcp'] = async (request, response) => {
    taken.push('whole' in request);
    const read = await readBody(request, 1_000_000);
    const { 'content-length': _, ...headers } = request.headers;
    const sorted = Object.fromEntries(Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)));
    const body = JSON.stringify({ method: request.method, url: request.url, headers: sorted, read });
    sendAnswer(response, { status: 200, body });
  };
  const host = `127.0.0.1:${server.port}`;
  const routes: Partial<Routes> = {
    mcp: options.mcp ?? echo,
    relay: options.relay,
    drain() {},
    unready: () => undefined,
    authorizationServer: (_, response) => sendAnswer(response, { status: 404, body: '{}' }),
  };
  await server.serve(routes as Routes, new Set([host]));
  return { server, port: server.port, host, taken };
}
