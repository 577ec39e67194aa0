import type { Secret } from '../../domain/secret.ts';

/** `fetch`, injected: the composition gives one that checks each address, follows no redirect and bounds what it reads. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Endpoint {
  readonly url: string;
  /** Sent as a bearer token. Asked for at each call: a secret that was replaced counts at once. */
  readonly token: (() => Promise<Secret>) | undefined;
  readonly fetch: Fetch;
}

/** What a decision point says to a question, as JSON. @throws for any status but 200, and for what is no JSON */
export async function postJson(
  { token, fetch }: Endpoint,
  address: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  const secret = await token?.();
  const response = await fetch(address, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json',
      ...(secret !== undefined && { Authorization: `Bearer ${secret.reveal()}` }),
    },
    body: JSON.stringify(body),
    redirect: 'manual',
    signal,
  });
  const text = await response.text();
  // What a body says of a failure may hold what we sent.
  if (response.status !== 200) throw new Error(`it answered HTTP ${response.status}`);
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it did not answer with JSON');
  }
}
