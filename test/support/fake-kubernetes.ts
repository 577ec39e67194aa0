/**
 * FAKE: stands for a Kubernetes API server, written from the API reference and the validation that it documents: Secrets in one namespace,
 * `TokenRequest` with a bound object, `TokenReview`. It verifies the caller's token and its RBAC rights, names (RFC 1123), the least
 * `expirationSeconds`, that the bound object is there with that uid; a token is good while its Secret is there. Never a part of the product.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { type FakeService, type ServiceAnswer, type ServiceRequest, startFakeService } from './fake-service.ts';

type Json = Record<string, unknown>;

interface IssuedToken {
  readonly account: string;
  readonly audiences: readonly string[];
  readonly boundUid: string;
  readonly expiresAt: number;
}

export interface FakeKubernetes extends FakeService {
  readonly namespace: string;
  readonly token: string;
  /** Verb and resource that Remit may: `create secrets`. */
  readonly rights: Set<string>;
  readonly serviceAccounts: Set<string>;
  /** uid by name. */
  readonly secrets: Map<string, { uid: string; annotations: Json; labels: Json }>;
  now: () => number;
  /** What it gives longer or shorter than asked, seconds. */
  moreSeconds: number;
  /** Secrets that something holds (a finalizer): a delete only marks them. */
  holdsSecrets: boolean;
  /** As `TokenReview` would say it, or a resource that verifies the signature alone (`isOffline`). */
  admits(token: string, audience: string, isOffline?: boolean): boolean;
  readonly tokens: Map<string, IssuedToken>;
}

const OWN_AUDIENCE = 'https://kubernetes.default.svc';
const DNS_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

export async function startFakeKubernetes(): Promise<FakeKubernetes> {
  const service = await startFakeService(answer);
  const fake: FakeKubernetes = Object.assign(service, {
    namespace: 'agents',
    token: `canary-kube-${randomBytes(8).toString('hex')}`,
    rights: new Set(['create secrets', 'delete secrets', 'create serviceaccounts/token']),
    serviceAccounts: new Set<string>(),
    secrets: new Map(),
    tokens: new Map<string, IssuedToken>(),
    now: Date.now,
    moreSeconds: 0,
    holdsSecrets: false,
    admits(token: string, audience: string, isOffline = false) {
      const known = fake.tokens.get(token);
      if (known === undefined || known.expiresAt <= fake.now() || !known.audiences.includes(audience)) return false;
      return isOffline || [...fake.secrets.values()].some(({ uid }) => uid === known.boundUid);
    },
  });

  function answer({ method, path, headers, body }: ServiceRequest): ServiceAnswer {
    if (headers.authorization !== `Bearer ${fake.token}`) return status(401, 'Unauthorized', 'Unauthorized');
    const [, namespace, kind, name, subresource] =
      /^\/api\/v1\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? [];
    if (kind === undefined) return status(404, 'NotFound', 'the server could not find the requested resource');
    const verb = method === 'POST' ? 'create' : method === 'DELETE' ? 'delete' : 'get';
    const resource = subresource === undefined ? kind : `${kind}/${subresource}`;
    if (namespace !== fake.namespace || !fake.rights.has(`${verb} ${resource}`)) {
      const text = `${resource} is forbidden: User "remit" cannot ${verb} resource "${kind}" in the namespace "${namespace}"`;
      return status(403, 'Forbidden', text);
    }
    const asked = body === '' ? {} : (JSON.parse(body) as Json);
    if (resource === 'secrets' && verb === 'create') return createSecret(asked);
    if (resource === 'secrets' && verb === 'delete') return deleteSecret(name ?? '');
    if (resource === 'serviceaccounts/token') return requestToken(name ?? '', asked);
    return status(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
  }

  function createSecret({ metadata }: Json): ServiceAnswer {
    const { name, annotations = {}, labels = {} } = metadata as { name: string; annotations?: Json; labels?: Json };
    if (!DNS_NAME.test(name))
      return status(422, 'Invalid', `Secret "${name}" is invalid: metadata.name: a lowercase RFC 1123 subdomain`);
    if (fake.secrets.has(name)) return status(409, 'AlreadyExists', `secrets "${name}" already exists`);
    const uid = randomUUID();
    fake.secrets.set(name, { uid, annotations, labels });
    return {
      status: 201,
      body: { apiVersion: 'v1', kind: 'Secret', metadata: { name, uid, namespace: fake.namespace } },
    };
  }

  function deleteSecret(name: string): ServiceAnswer {
    const found = fake.secrets.get(name);
    if (found === undefined) return status(404, 'NotFound', `secrets "${name}" not found`);
    if (fake.holdsSecrets) {
      const deletionTimestamp = new Date(fake.now()).toISOString();
      return { status: 200, body: { kind: 'Secret', metadata: { name, uid: found.uid, deletionTimestamp } } };
    }
    fake.secrets.delete(name);
    return {
      status: 200,
      body: { kind: 'Status', apiVersion: 'v1', status: 'Success', details: { name, uid: found.uid } },
    };
  }

  function requestToken(account: string, { spec }: Json): ServiceAnswer {
    const {
      audiences = [],
      expirationSeconds,
      boundObjectRef,
    } = spec as {
      audiences?: string[];
      expirationSeconds: number;
      boundObjectRef?: { kind: string; name: string; uid?: string };
    };
    if (!fake.serviceAccounts.has(account)) return status(404, 'NotFound', `serviceaccounts "${account}" not found`);
    if (!Number.isInteger(expirationSeconds) || expirationSeconds < 600) {
      return status(
        422,
        'Invalid',
        'spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes',
      );
    }
    const bound = fake.secrets.get(boundObjectRef?.name ?? '');
    if (boundObjectRef?.kind !== 'Secret' || bound === undefined) {
      return status(404, 'NotFound', `secrets "${boundObjectRef?.name}" not found`);
    }
    if (boundObjectRef.uid !== bound.uid) {
      return status(409, 'Conflict', 'the UID in the bound object reference does not match the UID in record');
    }
    const token = `eyJ.${randomBytes(24).toString('base64url')}.sig`;
    const expiresAt = Math.floor(fake.now() / 1000) * 1000 + (expirationSeconds + fake.moreSeconds) * 1000;
    const aud = audiences.length > 0 ? audiences : [OWN_AUDIENCE];
    fake.tokens.set(token, { account, audiences: aud, boundUid: bound.uid, expiresAt });
    const expirationTimestamp = new Date(expiresAt).toISOString().replace('.000Z', 'Z');
    return { status: 201, body: { kind: 'TokenRequest', status: { token, expirationTimestamp } } };
  }

  return fake;
}

function status(code: number, reason: string, message: string): ServiceAnswer {
  return { status: code, body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message } };
}
