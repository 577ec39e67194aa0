/**
 * FAKE: a bucket of S3, written from its API reference: PUT (conditional too), GET and HEAD of objects by path-style addresses. Verifies Signature Version 4 by
 * itself, with `node:crypto` alone, and the checksums that are sent.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeObject {
  readonly bytes: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** What goes wrong with requests whose `METHOD key` it matches. `lose`: done, and never answered. `hang`: neither, until the client gives up. A number: refused. */
export interface S3Trouble {
  readonly at: RegExp;
  readonly how: 'lose' | 'hang' | number;
  /** How often; undefined: always. */
  times?: number;
}

export interface FakeS3 {
  readonly url: string;
  readonly objects: Map<string, FakeObject>;
  /** `METHOD key status`, in order; of what was never answered `lost` or `hung`. */
  readonly asked: string[];
  readonly troubles: S3Trouble[];
  /** Of requests that it refused for their signature, why. */
  readonly forged: string[];
  close(): Promise<void>;
}

export const FAKE_S3_KEY = {
  accessKeyId: 'AKIAFAKEFAKEFAKEFAKE',
  secretAccessKey: 'fake/secret+key/of/the/bucket/0123456789',
};
const BUCKET = 'trail';
const REGION = 'eu-central-1';
export const FAKE_S3_BUCKET = { bucket: BUCKET, region: REGION };
const SKEW_MS = 15 * 60_000;

export async function startFakeS3(clock: () => number = Date.now): Promise<FakeS3> {
  const objects = new Map<string, FakeObject>();
  const asked: string[] = [];
  const troubles: S3Trouble[] = [];
  const forged: string[] = [];

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => {});
    request.on('end', () => serve(request, Buffer.concat(chunks), response));
  });

  function serve(request: IncomingMessage, body: Buffer, response: ServerResponse): unknown {
    const { pathname } = new URL(request.url ?? '/', 'http://fake');
    const [, bucket, ...rest] = pathname.split('/').map(decodeURIComponent);
    const key = rest.join('/');
    const line = `${request.method} ${key}`;
    const trouble = troubles.find(({ at, times }) => at.test(line) && times !== 0);
    if (trouble?.times !== undefined) trouble.times -= 1;
    if (trouble?.how === 'hang') return void asked.push(`${line} hung`);
    const refuse = (status: number, code: string): void => {
      asked.push(`${line} ${status}`);
      const text = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`;
      response.writeHead(status, { 'content-type': 'application/xml' }).end(request.method === 'HEAD' ? '' : text);
    };
    if (typeof trouble?.how === 'number') return refuse(trouble.how, trouble.how === 403 ? 'AccessDenied' : 'SlowDown');
    const fault = signatureFault(request, body, clock());
    if (fault !== undefined) {
      forged.push(fault);
      return refuse(403, 'SignatureDoesNotMatch');
    }
    if (bucket !== BUCKET) return refuse(404, 'NoSuchBucket');
    const found = objects.get(key);
    const answer = (status: number, headers: Readonly<Record<string, string>>, bytes?: Buffer): void => {
      if (trouble?.how === 'lose') {
        asked.push(`${line} lost`);
        response.destroy();
        return;
      }
      asked.push(`${line} ${status}`);
      response.writeHead(status, headers).end(bytes);
    };
    if (request.method === 'PUT') {
      if (request.headers['content-length'] === undefined) return refuse(411, 'MissingContentLength');
      const checksum = request.headers['x-amz-checksum-sha256'];
      if (checksum !== undefined && checksum !== createHash('sha256').update(body).digest('base64'))
        return refuse(400, 'BadDigest');
      const condition = request.headers['if-none-match'];
      if (condition !== undefined && condition !== '*') return refuse(501, 'NotImplemented');
      if (condition === '*' && found !== undefined) return refuse(412, 'PreconditionFailed');
      const meta = Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-meta-'));
      objects.set(key, { bytes: body, headers: Object.fromEntries(meta) as Record<string, string> });
      return answer(200, { etag: '"0"' });
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'MethodNotAllowed');
    if (found === undefined) return refuse(404, 'NoSuchKey');
    answer(
      200,
      { ...found.headers, 'content-length': String(found.bytes.length) },
      request.method === 'GET' ? found.bytes : undefined,
    );
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    asked,
    troubles,
    forged,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: Buffer | string, data: string): Buffer => createHmac('sha256', key).update(data).digest();
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/** What is wrong with a signature (AWS General Reference, "Create a signed AWS API request"); undefined when it holds. */
function signatureFault({ method, url, headers }: IncomingMessage, body: Buffer, now: number): string | undefined {
  const [, credential, signedHeaders, signature] =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? [];
  if (credential === undefined || signedHeaders === undefined || signature === undefined) return 'no signature';
  const [accessKeyId, day, region, service, end] = credential.split('/');
  if (accessKeyId !== FAKE_S3_KEY.accessKeyId) return 'another key';
  if (region !== REGION || service !== 's3' || end !== 'aws4_request') return 'another scope';
  const date = String(headers['x-amz-date']);
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? [];
  const at = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (!(Math.abs(at - now) <= SKEW_MS) || day !== date.slice(0, 8)) return 'another time';
  const names = signedHeaders.split(';');
  if ([...names].sort().join(';') !== signedHeaders) return 'headers out of order';
  // The host, and every header of the service’s own, have to be signed.
  const needed = [
    'host',
    ...Object.keys(headers).filter((name) => name.startsWith('x-amz-') || name === 'if-none-match'),
  ];
  const unsigned = needed.find((name) => !names.includes(name));
  if (unsigned !== undefined) return `${unsigned} is not signed`;
  if (headers['x-amz-content-sha256'] !== sha256(body)) return 'another content';
  const { pathname, searchParams } = new URL(url ?? '/', 'http://fake');
  const canonical = [
    method,
    pathname
      .split('/')
      .map((part) => encode(decodeURIComponent(part)))
      .join('/'),
    [...searchParams]
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .sort()
      .join('&'),
    ...names.map(
      (name) =>
        `${name}:${String(headers[name] ?? '')
          .trim()
          .replace(/ +/g, ' ')}`,
    ),
    '',
    signedHeaders,
    headers['x-amz-content-sha256'],
  ].join('\n');
  const text = ['AWS4-HMAC-SHA256', date, `${day}/${region}/s3/aws4_request`, sha256(canonical)].join('\n');
  const key = ['s3', 'aws4_request'].reduce(
    hmac,
    hmac(hmac(`AWS4${FAKE_S3_KEY.secretAccessKey}`, String(day)), region),
  );
  const expected = hmac(key, text);
  return timingSafeEqual(expected, Buffer.from(signature, 'hex')) ? undefined : 'another signature';
}
