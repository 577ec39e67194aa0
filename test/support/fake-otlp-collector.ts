/** fake-otlp-collector: takes spans over OTLP/HTTP in JSON, and keeps them. Listed in docs/fakes.md. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CollectedSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code: number };
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
}

export interface FakeCollector {
  readonly url: string;
  readonly spans: CollectedSpan[];
  readonly headers: IncomingHttpHeaders[];
  /** `service.name` and the like, of the last request. */
  readonly resource: () => Readonly<Record<string, string | number>>;
  /** Status of every answer from now on. */
  answer(status: number): void;
  close(): Promise<void>;
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string };
}

function attributesOf(list: readonly Attribute[] = []): Record<string, string | number> {
  return Object.fromEntries(list.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]));
}

export async function startCollector(): Promise<FakeCollector> {
  const spans: CollectedSpan[] = [];
  const headers: IncomingHttpHeaders[] = [];
  let resource: Record<string, string | number> = {};
  let status = 200;
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      headers.push(request.headers);
      if (status === 200) {
        for (const { resource: of, scopeSpans } of JSON.parse(text).resourceSpans) {
          resource = attributesOf(of.attributes);
          for (const { spans: some } of scopeSpans) {
            for (const span of some) {
              spans.push({ ...span, attributes: attributesOf(span.attributes), links: span.links ?? [] });
            }
          }
        }
      }
      response.writeHead(status, { 'Content-Type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    spans,
    headers,
    resource: () => resource,
    answer(next) {
      status = next;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
