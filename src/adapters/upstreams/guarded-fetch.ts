import { Agent, fetch as guardableFetch } from 'undici';
import { type GuardOptions, guardedConnect } from './guarded-connect.ts';
import { protocolFault } from './upstream-faults.ts';

/** What servers say of themselves is small. */
const LARGEST_BYTES = 256 * 1024;

export interface GuardedFetch {
  /**
   * As `fetch`, but: each connect is checked as those of the connector are, whatever host it goes to; redirects are not followed; a body is
   * read whole, within 256 KiB. What is sent is text, or with `duplex` whatever gives pieces. @throws what `fetch` throws, `ERR_CONNECTOR_PROTOCOL` for a larger body
   */
  readonly fetch: (address: string, init: RequestInit) => Promise<Response>;
  close(): Promise<void>;
}

/** For addresses that a connector, or somebody whom it names, has chosen (fault 43, attacks A30 and A36). */
export function createGuardedFetch(options: GuardOptions): GuardedFetch {
  const dispatcher = new Agent({ connect: guardedConnect(options), keepAliveTimeout: 1_000 });
  return {
    async fetch(address, { method = 'GET', headers, body, signal, duplex }: RequestInit & { duplex?: 'half' }) {
      const response = await guardableFetch(address, {
        method,
        headers: Object.fromEntries(new Headers(headers)),
        ...(body !== undefined &&
          body !== null &&
          (duplex === undefined ? { body: String(body) } : { body: body as AsyncIterable<Uint8Array>, duplex })),
        ...(signal && { signal }),
        redirect: 'manual',
        dispatcher,
      });
      const bytes = await readBounded(response.body, address);
      const isBare = response.status === 204 || response.status === 304;
      return new Response(isBare ? null : new Uint8Array(bytes), {
        status: response.status,
        headers: Object.fromEntries(response.headers),
      });
    },
    close: () => dispatcher.destroy(),
  };
}

async function readBounded(body: AsyncIterable<Uint8Array> | null, address: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    // Leaving the loop cancels the body.
    if (size > LARGEST_BYTES) {
      throw protocolFault(`What ${new URL(address).origin} answered is larger than ${LARGEST_BYTES} bytes`, {
        where: address,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
