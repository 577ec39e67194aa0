import { isJsonObject, type JsonObject } from '../../domain/json.ts';

/** Goes nowhere but where the service may be, and bounds what it answers: `createGuardedFetch`. */
export type Fetch = (address: string, init: RequestInit) => Promise<Response>;

export interface JsonAnswer {
  readonly status: number;
  /** Empty where there is none, and where a refusal is not in JSON. */
  readonly body: JsonObject;
}

/** A refusal of a service, in its own words; none of what was asked is in it. */
export class ServiceRefusal extends Error {
  readonly status: number;
  /** The service's own name for it, where it has one. */
  readonly reason: string;

  constructor(status: number, reason: string, text: string) {
    super([String(status), reason, text].filter((part) => part !== '').join(' '));
    this.name = 'ServiceRefusal';
    this.status = status;
    this.reason = reason;
  }
}

/** @throws for what does not get through, and for a success that is not a JSON object, without a word of it */
export async function askJson(fetch: Fetch, address: string, init: RequestInit): Promise<JsonAnswer> {
  const { status, text } = await ask(fetch, address, init);
  if (status === 204 || (status >= 200 && status < 300 && text === '')) return { status, body: {} };
  const body = parse(text);
  if (body !== undefined) return { status, body };
  if (status >= 200 && status < 300) throw new Error(`it answered ${status} with something else than a JSON object`);
  return { status, body: {} };
}

async function ask(fetch: Fetch, address: string, init: RequestInit): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(address, init);
    return { status: response.status, text: await response.text() };
  } catch (error) {
    // What the network has against it is in the cause of a `fetch failed`.
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
    throw new Error(error instanceof Error ? `${error.message}${cause}` : 'unknown error');
  }
}

function parse(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A member that has to be text. @throws where it is not */
export function textOf(body: JsonObject, name: string): string {
  const value = body[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`the answer has no ${name}`);
}

/** A member that has to be an object. @throws where it is not */
export function objectOf(body: JsonObject, name: string): JsonObject {
  const value = body[name];
  if (isJsonObject(value)) return value;
  throw new Error(`the answer has no ${name}`);
}

/** A member that has to be a count of seconds. @throws where it is not */
export function secondsOf(body: JsonObject, name: string): number {
  const value = body[name];
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`the answer has no ${name}`);
}
