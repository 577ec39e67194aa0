import { isAscii, isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { HttpRequest } from './client-http.ts';

export type Body = { readonly text: string } | { readonly problem: string; readonly status: 400 | 413 };

/** Reads a request body of at most `limit` bytes of valid UTF-8. Rejects only when the connection breaks. */
export function readBody(request: IncomingMessage, limit: number): Promise<Body>;
export function readBody(request: HttpRequest, limit: number): Promise<Body> | Body;
export function readBody(request: HttpRequest, limit: number): Promise<Body> | Body {
  if ('whole' in request) return request.whole.length > limit ? tooLarge(limit) : decode(request.whole);
  return new Promise((resolve, reject) => {
    // What a client says itself need not be waited for; what it does not say is counted.
    if (Number(request.headers['content-length'] ?? 0) > limit) {
      request.resume();
      resolve(tooLarge(limit));
      return;
    }
    let first: Buffer | undefined;
    let more: Buffer[] | undefined;
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) {
        request.removeAllListeners('data');
        request.resume();
        resolve(tooLarge(limit));
      } else if (first === undefined) first = chunk;
      else if (more === undefined) more = [first, chunk];
      else more.push(chunk);
    });
    request.on('end', () => resolve(decode(more === undefined ? first : Buffer.concat(more))));
    request.on('error', reject);
    request.on('close', () => {
      if (!request.complete) reject(new Error('the request was cut off'));
    });
  });
}

function decode(bytes: Buffer | undefined): Body {
  if (bytes === undefined) return { text: '' };
  if (isAscii(bytes)) return { text: bytes.toString('latin1') };
  // A replaced character would make the decision's bytes other than the sender's.
  if (!isUtf8(bytes)) return { problem: 'the body is not valid UTF-8', status: 400 };
  return { text: bytes.toString('utf8') };
}

function tooLarge(limit: number): Body {
  return { problem: `the body is larger than ${limit} bytes`, status: 413 };
}
