import { type Era, RPC } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';
import {
  type ClientInfo,
  INITIALIZED,
  initializeParams,
  readDiscovered,
  readInitialized,
  saysOtherEra,
} from './handshake.ts';
import { modernMeta } from './json-rpc.ts';
import type { Redact } from './redaction.ts';
import type { StdioConnection } from './stdio-connection.ts';

/** Milliseconds that a server has for `server/discover` before it is spoken to as a legacy one. */
const DISCOVER_WITHIN = 2_000;

export interface IntroductionOptions {
  readonly clientInfo: ClientInfo;
  readonly clientCapabilities: JsonObject;
  readonly redact: Redact;
  readonly schedule: Schedule;
  readonly timeoutMs: number;
}

/** The server does not speak the era that it was asked in. */
class OtherEra extends Error {
  constructor(fault: unknown) {
    super('The server speaks another era', { cause: fault });
  }
}

/** The server died of being asked in a way that it does not know. */
export class DiedOfDiscovery extends Error {
  constructor(fault: unknown) {
    super('The server ended when it was asked in the modern era', { cause: fault });
  }
}

const faultOf = (error: unknown): unknown => (error instanceof OtherEra ? error.cause : error);
export const otherEra = (era: Era): Era => (era === 'legacy' ? 'modern' : 'legacy');

/** Opens in one era and no other. */
export async function introduceIn(era: Era, connection: StdioConnection, options: IntroductionOptions): Promise<void> {
  try {
    const agree = await (era === 'legacy' ? initialize(connection, options) : discover(connection, options));
    agree();
  } catch (error) {
    throw faultOf(error);
  }
}

/**
 * Opens in the preferred era where the server speaks it, otherwise in the other one, over the same pipes.
 * @param isKnown the server is known to speak the preferred era only, so its answer is waited for
 * @returns the era that the server has shown not to speak
 * @throws `DiedOfDiscovery` where another process may do better, without being asked so
 */
export async function introduceInEither(
  preferred: Era,
  isKnown: boolean,
  connection: StdioConnection,
  options: IntroductionOptions,
): Promise<Era | undefined> {
  try {
    if (preferred === 'modern' && !isKnown) return await discoverOrInitialize(connection, options);
    const agree = await (preferred === 'legacy' ? initialize(connection, options) : discover(connection, options));
    agree();
    return isKnown ? otherEra(preferred) : undefined;
  } catch (error) {
    if (!(error instanceof OtherEra)) throw error;
  }
  await introduceIn(otherEra(preferred), connection, options);
  return preferred;
}

/** @throws `OtherEra` where the server has said that it speaks no modern revision */
async function discoverOrInitialize(
  connection: StdioConnection,
  options: IntroductionOptions,
): Promise<Era | undefined> {
  let wasDiscovered = false;
  const discovering = discover(connection, options).then((agree) => {
    wasDiscovered = true;
    return agree;
  });
  // Whatever it ends with, somebody has listened.
  discovering.catch(() => {});
  try {
    const agreeSoon = await within(DISCOVER_WITHIN, discovering, options.schedule);
    if (agreeSoon !== undefined) {
      agreeSoon();
      return undefined;
    }
    const agree = await initialize(connection, options).catch(async (error: unknown) => {
      if (!(error instanceof OtherEra)) throw error;
      return await discovering; // it was only slow to start
    });
    agree();
    // One that was only slow has answered both by now, and speaks both.
    if (connection.era === 'modern') return 'legacy';
    return wasDiscovered ? undefined : 'modern';
  } catch (error) {
    throw connection.hasExited ? new DiedOfDiscovery(error) : error;
  }
}

async function within<T>(ms: number, work: Promise<T>, schedule: Schedule): Promise<T | undefined> {
  let cancel = (): void => {};
  const late = new Promise<undefined>((resolve) => {
    cancel = schedule(ms, () => resolve(undefined));
  });
  return await Promise.race([work, late]).finally(cancel);
}

type Agree = () => void;

async function initialize(connection: StdioConnection, options: IntroductionOptions): Promise<Agree> {
  const { clientInfo, clientCapabilities, redact, timeoutMs } = options;
  const params = initializeParams(clientInfo, clientCapabilities);
  const reply = await connection.introduce('initialize', params, '', timeoutMs);
  const agreement = read(() => readInitialized(reply, connection.where, redact), speaksModernOnly(reply));
  return () => {
    connection.agree('legacy', agreement, '');
    connection.post(INITIALIZED);
  };
}

async function discover(connection: StdioConnection, options: IntroductionOptions): Promise<Agree> {
  const { clientInfo, clientCapabilities, redact, timeoutMs } = options;
  const eraMeta = modernMeta(clientInfo, clientCapabilities);
  const reply = await connection.introduce('server/discover', '', eraMeta, timeoutMs);
  const isOtherEra = 'error' in reply || saysOtherEra(reply, 'server/discover');
  const agreement = read(() => readDiscovered(reply, connection.where, redact), isOtherEra);
  return () => connection.agree('modern', agreement, eraMeta);
}

function read<T>(work: () => T, isOtherEra: boolean): T {
  try {
    return work();
  } catch (fault) {
    throw isOtherEra ? new OtherEra(fault) : fault;
  }
}

/** How a modern server answers a handshake that it does not have. */
function speaksModernOnly(reply: UpstreamReply): boolean {
  if (!('error' in reply)) return false;
  const { code } = reply.error;
  return code === RPC.methodNotFound || code === RPC.unsupportedVersion || code === RPC.invalidParams;
}
