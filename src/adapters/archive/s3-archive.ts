import { createHash } from 'node:crypto';
import { setImmediate as aTurn } from 'node:timers/promises';
import { AwsV4Signer } from 'aws4fetch';
import { RemitError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';
import type { Archive } from '../../seams/archive.ts';
import type { Fetch } from '../clouds/ask-json.ts';
import { serviceAddress } from '../clouds/service-address.ts';

export interface S3Place {
  readonly endpoint: string;
  readonly bucket: string;
  /** In front of every name, without slashes around it; empty: none. */
  readonly prefix: string;
  readonly region: string;
  /** Asked at every request. */
  readonly credentials: () => Promise<{ readonly accessKeyId: string; readonly secretAccessKey: Secret }>;
  readonly fetch: Fetch;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
}

/**
 * A bucket of S3 or of what speaks as it does: path-style addresses, Signature Version 4, conditional writes (`If-None-Match: *`), a checksum that the
 * store verifies, and the content's hash beside it, by which a write of before is known again.
 */
export function createS3Archive({ endpoint, bucket, prefix, region, credentials, fetch, clock }: S3Place): Archive {
  const base = `${serviceAddress(endpoint, 'journal.ship.s3.endpoint')}/${bucket}`;
  const keyOf = (name: string): string => (prefix === '' ? name : `${prefix}/${name}`);

  async function send(
    method: 'GET' | 'HEAD' | 'PUT',
    name: string,
    signal: AbortSignal,
    put?: Described & { readonly more?: Readonly<Record<string, string>> },
  ): Promise<Answer> {
    signal.throwIfAborted();
    const key = keyOf(name);
    const url = `${base}/${key.split('/').map(encodeURIComponent).join('/')}`;
    try {
      const { accessKeyId, secretAccessKey } = await credentials();
      const { headers } = await new AwsV4Signer({
        method,
        url,
        headers: { ...put?.headers, ...put?.more, 'x-amz-content-sha256': put?.sha256 ?? NOTHING },
        accessKeyId,
        secretAccessKey: secretAccessKey.reveal(),
        service: 's3',
        region,
        datetime: new Date(clock()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
        allHeaders: true,
      }).sign();
      // Read whole by nobody: the length is said, since it cannot be seen.
      if (put !== undefined) headers.set('content-length', String(put.bytes.length));
      const body = put && { body: pieces(put.bytes) as unknown as ReadableStream, duplex: 'half' as const };
      const response = await fetch(url, { method, headers, signal, ...body });
      return {
        status: response.status,
        headers: response.headers,
        bytes: Buffer.from(await response.arrayBuffer()),
      };
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
      throw fault(key, `cannot be reached: ${error instanceof Error ? error.message : 'unknown error'}${cause}`, error);
    }
  }

  function fault(key: string, what: string, cause?: unknown): RemitError {
    return new RemitError('ERR_ARCHIVE', `the archive ${what}`, {
      where: `${base}/${key}`,
      hint: 'It is tried again by itself. Look at the bucket’s address, its policy and the key in the vault; nothing local is removed meanwhile.',
      ...(cause !== undefined && { cause }),
    });
  }

  const refusal = (name: string, answer: Answer): RemitError =>
    fault(keyOf(name), `answered ${answer.status} ${wordOf(answer)}`.trim());

  return {
    name: `${base}${prefix === '' ? '' : `/${prefix}`}`,

    async keep(name, bytes, signal) {
      const described = await describe(bytes);
      const put = await send('PUT', name, signal, { ...described, more: { 'if-none-match': '*' } });
      if (put.status >= 200 && put.status < 300) return 'kept';
      if (put.status !== 412) throw refusal(name, put);
      const found = await send('HEAD', name, signal);
      if (found.status !== 200) throw refusal(name, found);
      if (found.headers.get('x-amz-meta-sha256') === described.sha256) return 'there';
      throw fault(keyOf(name), 'has something else under that name, which is not written over');
    },

    async replace(name, bytes, signal) {
      const put = await send('PUT', name, signal, await describe(bytes));
      if (put.status < 200 || put.status > 299) throw refusal(name, put);
    },

    async read(name, signal) {
      const found = await send('GET', name, signal);
      if (found.status === 404 && wordOf(found) === 'NoSuchKey') return undefined;
      if (found.status !== 200) throw refusal(name, found);
      return found.bytes;
    },
  };
}

/** Its own word for what it has against a request; none of what was sent is in it. */
function wordOf({ bytes }: Answer): string {
  return /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(bytes.toString('utf8', 0, 4096))?.[1] ?? '';
}

interface Described {
  readonly bytes: Buffer;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A segment is many megabytes, and calls are served meanwhile: it is hashed and sent a piece a turn. Less than a millisecond's work. */
const PIECE = 128 * 1024;

async function describe(bytes: Buffer): Promise<Described> {
  const hash = createHash('sha256');
  for await (const piece of pieces(bytes)) hash.update(piece);
  const digest = hash.digest();
  const sha256 = digest.toString('hex');
  return {
    bytes,
    sha256,
    headers: {
      'content-type': 'application/octet-stream',
      'x-amz-checksum-sha256': digest.toString('base64'),
      'x-amz-meta-sha256': sha256,
    },
  };
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer, void> {
  for (let at = 0; at < bytes.length; at += PIECE) {
    yield bytes.subarray(at, at + PIECE);
    await aTurn();
  }
}

/** Of no bytes. */
const NOTHING = createHash('sha256').digest('hex');
