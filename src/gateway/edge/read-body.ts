import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';

export type Body = { readonly text: string } | { readonly problem: string; readonly status: 400 | 413 };

/** Reads a request body of at most `limit` bytes of valid UTF-8. Rejects only when the connection breaks. */
export function readBody(request: IncomingMessage, limit: number): Promise<Body> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) {
        request.removeAllListeners('data');
        request.resume();
        resolve({ problem: `the body is larger than ${limit} bytes`, status: 413 });
        return;
      }
      chunks.push(chunk);
    });
    request.on('end', () => {
      const bytes = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
      // A replaced character would make the decision's bytes other than the sender's.
      if (!isUtf8(bytes)) resolve({ problem: 'the body is not valid UTF-8', status: 400 });
      else resolve({ text: bytes.toString('utf8') });
    });
    request.on('error', reject);
    request.on('close', () => {
      if (!request.complete) reject(new Error('the request was cut off'));
    });
  });
}
