import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Secret } from '../../domain/secret.ts';
import { askJson, type Fetch, type JsonAnswer, objectOf, ServiceRefusal, textOf } from '../clouds/ask-json.ts';
import { serviceAddress } from '../clouds/service-address.ts';

export interface KubernetesServer {
  /** Of the API server. */
  readonly server: string;
  readonly namespace: string;
  /** Remit's own token there; asked at every request, since a projected one is replaced while it lives. */
  readonly token: () => Promise<Secret>;
  readonly fetch: Fetch;
}

/** What an issuer uses of the Kubernetes API (v1), in one namespace. Each throws `ServiceRefusal` for what the server refuses. */
export interface KubernetesApi {
  readonly where: string;
  /** Makes an empty Secret. Resolves with its uid. */
  createSecret(name: string, annotations: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string>;
  /** A token of a service account, good as long as the Secret is there (`TokenRequest`, bound object). */
  requestToken(
    account: string,
    bound: { readonly name: string; readonly uid: string },
    ask: { readonly audiences: readonly string[]; readonly seconds: number },
    signal: AbortSignal,
  ): Promise<{ readonly token: string; readonly expiresAt: number }>;
  /** "Not found" is success. */
  deleteSecret(name: string, signal: AbortSignal): Promise<void>;
}

export function createKubernetesApi({ server, namespace, token, fetch }: KubernetesServer): KubernetesApi {
  const base = serviceAddress(server, 'credential.kubernetes.server');
  const place = `${base}/api/v1/namespaces/${encodeURIComponent(namespace)}`;

  async function ask(
    method: 'POST' | 'DELETE',
    path: string,
    body: JsonObject | undefined,
    signal: AbortSignal,
  ): Promise<JsonAnswer> {
    signal.throwIfAborted();
    const own = await token();
    return askJson(fetch, `${place}/${path}`, {
      method,
      headers: {
        Accept: 'application/json',
        Authorization: `Bearer ${own.reveal()}`,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal,
    });
  }

  return {
    where: `${base}/${namespace}`,
    async createSecret(name, annotations, signal) {
      const labels = { 'app.kubernetes.io/managed-by': 'remit' };
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, labels, annotations },
        type: 'Opaque',
        immutable: true,
      };
      const made = accepted(await ask('POST', 'secrets', secret, signal));
      return textOf(objectOf(made, 'metadata'), 'uid');
    },
    async requestToken(account, { name, uid }, { audiences, seconds }, signal) {
      const spec = {
        ...(audiences.length > 0 && { audiences }),
        expirationSeconds: seconds,
        // With the uid: a Secret of that name which is made later does not bring the token back.
        boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name, uid },
      };
      const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
      const path = `serviceaccounts/${encodeURIComponent(account)}/token`;
      const status = objectOf(accepted(await ask('POST', path, request, signal)), 'status');
      const expiresAt = Date.parse(textOf(status, 'expirationTimestamp'));
      if (Number.isNaN(expiresAt)) throw new Error('the answer has no expirationTimestamp');
      return { token: textOf(status, 'token'), expiresAt };
    },
    async deleteSecret(name, signal) {
      const answer = await ask('DELETE', `secrets/${encodeURIComponent(name)}`, undefined, signal);
      const { status, body } = answer;
      // A bare 404 is what a proxy says, which has never heard of the Secret.
      if (status === 404 && body.kind === 'Status' && body.reason === 'NotFound') return;
      const given = accepted(answer);
      if (given.kind === 'Status' && given.status === 'Success') return;
      throw new Error('the Secret is not gone yet: something holds it (finalizers)');
    },
  };
}

/** A refusal is a `Status` object (API conventions): `reason` for machines, `message` for people. */
function accepted({ status, body }: JsonAnswer): JsonObject {
  if (status >= 200 && status < 300) return body;
  const isStatus = isJsonObject(body) && body.kind === 'Status';
  const text = (name: 'reason' | 'message'): string =>
    isStatus && typeof body[name] === 'string' ? String(body[name]).slice(0, 300) : '';
  throw new ServiceRefusal(status, text('reason'), text('message'));
}
