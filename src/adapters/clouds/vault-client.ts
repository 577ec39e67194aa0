import type { JsonObject } from '../../domain/json.ts';
import { Secret } from '../../domain/secret.ts';
import { askJson, type Fetch, type JsonAnswer, objectOf, ServiceRefusal, secondsOf, textOf } from './ask-json.ts';
import { serviceAddress } from './service-address.ts';

/** Who Remit is at a Vault or OpenBao. */
export type VaultLogin =
  | { readonly token: () => Promise<Secret> }
  | { readonly approle: { readonly mount: string; readonly roleId: string; readonly secretId: () => Promise<Secret> } }
  /** `assertion` gives a JWT that the server verifies. */
  | { readonly jwt: { readonly mount: string; readonly role: string; readonly assertion: () => Promise<string> } };

export interface VaultServer {
  readonly address: string;
  readonly namespace: string | undefined;
  readonly login: VaultLogin;
  readonly fetch: Fetch;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export interface VaultRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below `/v1/`, each part of it already as it may stand in a URL. */
  readonly path: string;
  readonly body?: JsonObject;
  readonly signal: AbortSignal;
  /** Instead of Remit's own. */
  readonly token?: Secret;
}

export interface VaultClient {
  /** Address and namespace, for people. */
  readonly where: string;
  /**
   * Asks with Remit's own token, which is got anew where it was refused.
   * @param lifeMs how long Remit's token has to live on at least
   * @throws `ServiceRefusal` for what is not a success
   */
  ask(request: VaultRequest, lifeMs?: number): Promise<JsonObject>;
}

/** A token that has less left is not used any more. */
const SPARE_MS = 5_000;
const LOGIN_WITHIN_MS = 10_000;
const LOOKUP_SELF = 'auth/token/lookup-self';

interface Held {
  readonly token: Secret;
  /** Infinity for one that does not end. */
  readonly endsAt: number;
}

/** Requests of the HTTP API that Vault and OpenBao share, v1. Logs in when it has to, and keeps the token until it ends. */
export function createVaultClient({ address, namespace, login, fetch, clock }: VaultServer): VaultClient {
  const base = serviceAddress(address, 'vault.address');
  let held: Held | undefined;
  let loggingIn: Promise<Held> | undefined;

  async function send(request: VaultRequest, token: Secret | undefined): Promise<JsonAnswer> {
    const { method, path, body, signal } = request;
    return askJson(fetch, `${base}/v1/${path}`, {
      method,
      headers: {
        'X-Vault-Request': 'true',
        ...(token !== undefined && { 'X-Vault-Token': token.reveal() }),
        ...(namespace !== undefined && { 'X-Vault-Namespace': namespace }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal,
    });
  }

  async function logIn(): Promise<Held> {
    // Of its own: whoever waits for another's login does not end it.
    const signal = AbortSignal.timeout(LOGIN_WITHIN_MS);
    if ('token' in login) {
      const token = await login.token();
      const found = accepted(await send({ method: 'GET', path: LOOKUP_SELF, signal }, token));
      return { token, endsAt: endOf(secondsOf(objectOf(found, 'data'), 'ttl')) };
    }
    const [mount, body] =
      'approle' in login
        ? [login.approle.mount, { role_id: login.approle.roleId, secret_id: (await login.approle.secretId()).reveal() }]
        : [login.jwt.mount, { role: login.jwt.role, jwt: await login.jwt.assertion() }];
    const answer = accepted(
      await send({ method: 'POST', path: `auth/${pathOf(mount)}/login`, body, signal }, undefined),
    );
    const auth = objectOf(answer, 'auth');
    return { token: new Secret(textOf(auth, 'client_token')), endsAt: endOf(secondsOf(auth, 'lease_duration')) };
  }

  const endOf = (seconds: number): number => (seconds === 0 ? Number.POSITIVE_INFINITY : clock() + seconds * 1000);

  /** One login at a time: who comes meanwhile takes its token. */
  async function ownToken(lifeMs: number): Promise<Held> {
    if (held === undefined || held.endsAt - clock() < lifeMs + SPARE_MS) {
      loggingIn ??= logIn().finally(() => {
        loggingIn = undefined;
      });
      held = await loggingIn;
    }
    const leftMs = held.endsAt - clock();
    if (leftMs >= lifeMs) return held;
    const [left, least] = [Math.max(0, Math.floor(leftMs / 1000)), Math.ceil(lifeMs / 1000)];
    throw new Error(`Remit’s own token lives ${left} s more, and what hangs on it ${least} s`);
  }

  /** 403 is what a token gets that has been revoked, and what one gets that may not. */
  async function isStillKnown({ token }: Held, signal: AbortSignal): Promise<boolean> {
    return (await send({ method: 'GET', path: LOOKUP_SELF, signal }, token)).status !== 403;
  }

  return {
    where: namespace === undefined ? base : `${base} (${namespace})`,
    async ask(request, lifeMs = 0) {
      const { signal, token } = request;
      signal.throwIfAborted();
      if (token !== undefined) return accepted(await send(request, token));
      const first = await ownToken(lifeMs);
      const answer = await send(request, first.token);
      if (answer.status !== 403 || (await isStillKnown(first, signal))) return accepted(answer);
      if (held === first) held = undefined;
      return accepted(await send(request, (await ownToken(lifeMs)).token));
    },
  };
}

/** @throws `ServiceRefusal` with what the server says for people: `errors`, a list of texts */
function accepted({ status, body }: JsonAnswer): JsonObject {
  if (status >= 200 && status < 300) return body;
  const { errors } = body;
  const texts = Array.isArray(errors) ? errors.filter((one) => typeof one === 'string') : [];
  throw new ServiceRefusal(status, '', texts.join('; ').slice(0, 300));
}

/** A path of several parts, as it may stand in a URL. */
export const pathOf = (path: string): string => path.split('/').map(encodeURIComponent).join('/');
