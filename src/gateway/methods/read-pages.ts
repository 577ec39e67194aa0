import { RemitError } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { isJsonObject, isLargeAndDeep, type JsonObject } from '../../domain/json.ts';
import { isRefused } from '../../domain/refusal.ts';
import type { ErrorReply, LargeResult, SmallResult, Upstream, UpstreamCall } from '../../seams/upstream.ts';
import { type Needle, withhold } from '../stages/withhold-secrets.ts';

const MAX_PAGES = 100;
const MAX_ITEMS = 5_000;
/** Characters of all pages of one list: they are held in memory. */
const MAX_LISTING = 16 * 1024 * 1024;
/** A parser needs seconds for texts that are nested much deeper. */
const MAX_DEPTH = 512;

export interface PagesRequest extends Pick<UpstreamCall, 'timeoutMs' | 'cancellation' | 'meta'> {
  readonly connector: ConnectorId;
  readonly method: string;
  /** The member of the result that holds the items. */
  readonly member: string;
  /** A credential in what the server says is taken out: it reaches people's logs and, as definitions, agents (guarantee L6). */
  readonly needles: readonly Needle[];
}

/**
 * Reads a list of a server, page after page, bounded in pages, items and size. A cursor that comes again would never end (fault 31).
 * @throws `ERR_CONNECTOR_PROTOCOL` for an error of the server, and for a list that does not end or cannot be read
 */
export async function readPages(upstream: Pick<Upstream, 'request'>, request: PagesRequest): Promise<JsonObject[]> {
  const { connector, method, member, needles, timeoutMs, cancellation, meta } = request;
  const items: JsonObject[] = [];
  const seen = new Set<string>();
  let size = 0;
  let params = '';
  for (let page = 0; page < MAX_PAGES; page++) {
    const came = await upstream.request({ method, params, meta, timeoutMs, cancellation });
    const { reply } = withhold(await hold(came, connector, method), needles);
    if (isRefused(reply)) throw unusable(connector, `replied to ${method} with what cannot be read`);
    if ('error' in reply) {
      throw unusable(connector, `refused ${method}: ${reply.error.message} (${reply.error.code})`);
    }
    size += reply.resultText.length;
    if (size > MAX_LISTING) throw unusable(connector, `lists more than ${MAX_LISTING} characters in ${method}`);
    const { [member]: listed, nextCursor } = reply.result;
    if (!Array.isArray(listed)) throw unusable(connector, `replied to ${method} without "${member}"`);
    for (const item of listed) if (isJsonObject(item)) items.push(item);
    if (items.length > MAX_ITEMS) throw unusable(connector, `lists more than ${MAX_ITEMS} items in ${method}`);
    if (typeof nextCursor !== 'string') return items;
    if (seen.has(nextCursor)) throw unusable(connector, `gives the same cursor again in ${method}`);
    seen.add(nextCursor);
    params = `"cursor":${JSON.stringify(nextCursor)}`;
  }
  throw unusable(connector, `lists more than ${MAX_PAGES} pages in ${method}`);
}

/** A page may be large: it is held all the same, up to what a whole list may be. */
async function hold(
  reply: SmallResult | LargeResult | ErrorReply,
  connector: ConnectorId,
  method: string,
): Promise<SmallResult | ErrorReply> {
  if (!('resultChunks' in reply)) return reply;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of reply.resultChunks) {
    size += chunk.length;
    if (size > MAX_LISTING) throw unusable(connector, `lists more than ${MAX_LISTING} characters in ${method}`);
    chunks.push(chunk);
  }
  const resultText = Buffer.concat(chunks).toString('utf8');
  if (isLargeAndDeep(resultText, MAX_DEPTH)) throw unusable(connector, `nests its answer to ${method} too deep`);
  return { result: JSON.parse(resultText) as JsonObject, resultText };
}

function unusable(connector: ConnectorId, what: string): RemitError {
  return new RemitError('ERR_CONNECTOR_PROTOCOL', `${connector} ${what}`, {
    where: `connectors.${connector}`,
    hint: 'Run the server by hand to see what it lists.',
  });
}
