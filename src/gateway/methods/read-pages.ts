import { RemitError } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { isJsonObject, isLargeAndDeep, type JsonObject } from '../../domain/json.ts';
import { isRefused } from '../../domain/refusal.ts';
import type { ErrorReply, LargeResult, SmallResult, Upstream, UpstreamCall } from '../../seams/upstream.ts';
import { type Needle, withhold } from '../stages/withhold-secrets.ts';

const MAX_PAGES = 100;
const MAX_ITEMS = 5_000;
/** Bytes of one list: definitions are kept in memory and in the store. */
const MAX_LISTING = 16 * 1024 * 1024;
/** Deeper than any definition that can be used. */
const MAX_LEVELS = 256;
const METHOD_NOT_FOUND = -32601;

/** What is asked for: `tools/list` gives `tools`, and so on. */
export interface Listing extends Partial<Pick<UpstreamCall, 'meta' | 'cancellation'>> {
  readonly method: string;
  readonly member: string;
  /** Whether the server said that it has any: one that did not may know no such method. */
  readonly isDeclared: boolean;
}

/**
 * Follows pagination, bounded: a cursor that comes again, or never ends, is the server's fault (fault 31), and so is more than can be kept.
 * What it says reaches people's logs and, as definitions, agents: a credential in it is taken out (guarantee L6).
 * @throws `ERR_CONNECTOR_PROTOCOL`, and as `Upstream.request`
 */
export async function readPages(
  upstream: Pick<Upstream, 'request'>,
  connector: ConnectorId,
  { method, member, isDeclared, meta = '', cancellation }: Listing,
  timeoutMs: number,
  needles: readonly Needle[],
): Promise<readonly JsonObject[]> {
  const items: JsonObject[] = [];
  const cursors = new Set<string>();
  let room = MAX_LISTING;
  let params = '';
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await upstream.request({ method, params, meta, timeoutMs, cancellation });
    const whole = 'resultChunks' in answer ? await readWhole(answer, connector, method, room) : answer;
    const { reply } = withhold(whole, needles);
    if (isRefused(reply)) throw unusable(connector, `replied to ${method} with what cannot be read`);
    if ('error' in reply) {
      if (!isDeclared && reply.error.code === METHOD_NOT_FOUND) return items;
      throw refused(connector, method, reply);
    }
    room -= Buffer.byteLength(reply.resultText);
    if (room < 0) throw tooMuch(connector, method);
    const { [member]: listed, nextCursor } = reply.result;
    if (!Array.isArray(listed)) throw unusable(connector, `replied to ${method} without ${member}`);
    items.push(...listed.filter(isJsonObject));
    if (items.length > MAX_ITEMS) throw unusable(connector, `lists more than ${MAX_ITEMS} ${member}`);
    if (typeof nextCursor !== 'string' || nextCursor === '') return items;
    if (cursors.has(nextCursor))
      throw unusable(connector, `gave the same cursor of ${method} twice: its list never ends`);
    cursors.add(nextCursor);
    params = `"cursor":${JSON.stringify(nextCursor)}`;
  }
  throw unusable(connector, `gave more than ${MAX_PAGES} pages of ${method}`);
}

async function readWhole(
  { resultChunks }: LargeResult,
  connector: ConnectorId,
  method: string,
  room: number,
): Promise<SmallResult> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of resultChunks) {
    size += chunk.length;
    // Leaving early ends the exchange.
    if (size > room) throw tooMuch(connector, method);
    chunks.push(chunk);
  }
  const resultText = Buffer.concat(chunks).toString('utf8');
  if (isLargeAndDeep(resultText, MAX_LEVELS))
    throw unusable(connector, `replied to ${method} with what is nested too deep`);
  return { result: JSON.parse(resultText) as JsonObject, resultText };
}

function refused(connector: ConnectorId, method: string, { error }: ErrorReply): RemitError {
  return new RemitError('ERR_CONNECTOR_PROTOCOL', `${connector} refused ${method}: ${error.message} (${error.code})`, {
    where: `connectors.${connector}`,
    hint: 'Run the server by hand to see why it does not list what it has.',
  });
}

const tooMuch = (connector: ConnectorId, method: string): RemitError =>
  unusable(connector, `replies to ${method} with more than ${MAX_LISTING} bytes`);

function unusable(connector: ConnectorId, what: string): RemitError {
  return new RemitError('ERR_CONNECTOR_PROTOCOL', `${connector} ${what}`, {
    where: `connectors.${connector}`,
    hint: 'Run the server by hand to see what it lists.',
  });
}
