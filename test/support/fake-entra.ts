/**
 * FAKE: stands for Microsoft Entra's token endpoint (client credentials with a certificate), written from the identity platform's reference. It
 * verifies what that verifies of the assertion: PS256 by the registered certificate that `x5t#S256` names, audience, issuer and subject, ten minutes
 * at most, each once; and that one known resource is asked for with `/.default`. Never a part of the product.
 */
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { type FakeService, type ServiceAnswer, type ServiceRequest, startFakeService } from './fake-service.ts';

export interface FakeEntra extends FakeService {
  readonly directory: string;
  readonly clientId: string;
  /** PEM of certificates that the app has registered. */
  readonly certificates: string[];
  /** Resources that the app was granted something of. */
  readonly resources: Set<string>;
  now: () => number;
  /** Life of its tokens, seconds. */
  tokenSeconds: number;
  /** As an API that verifies the token by itself. */
  admits(token: string, resource: string): boolean;
}

export async function startFakeEntra(): Promise<FakeEntra> {
  const tokens = new Map<string, { resource: string; endsAt: number }>();
  const seen = new Set<string>();
  const service = await startFakeService(answer);
  const fake: FakeEntra = Object.assign(service, {
    directory: '11111111-2222-3333-4444-555555555555',
    clientId: 'remit-app',
    certificates: [],
    resources: new Set<string>(),
    now: Date.now,
    tokenSeconds: 3_599,
    admits(token: string, resource: string) {
      const known = tokens.get(token);
      return known?.resource === resource && known.endsAt > fake.now();
    },
  });

  async function answer({ method, path, body }: ServiceRequest): Promise<ServiceAnswer> {
    if (method !== 'POST' || path !== `/${fake.directory}/oauth2/v2.0/token`) {
      return refuse('invalid_request', 'AADSTS90002: Tenant not found.');
    }
    const form = new URLSearchParams(body);
    if (form.get('client_id') !== fake.clientId)
      return refuse('unauthorized_client', 'AADSTS700016: Application was not found.');
    if (form.get('grant_type') !== 'client_credentials') return refuse('unsupported_grant_type', 'AADSTS70003');
    if (form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer') {
      return refuse('invalid_client', 'AADSTS7000218: client_assertion is required.');
    }
    const fault = await assertionFault(form.get('client_assertion') ?? '');
    if (fault !== undefined) return refuse('invalid_client', fault);
    const resource = /^(\S+)\/\.default$/.exec(form.get('scope') ?? '')?.[1];
    if (resource === undefined)
      return refuse('invalid_scope', 'AADSTS1002012: The provided value for scope is not valid.');
    if (!fake.resources.has(resource))
      return refuse('invalid_resource', 'AADSTS500011: The resource principal was not found.');
    const token = `eyJ.${randomBytes(24).toString('base64url')}.sig`;
    tokens.set(token, { resource, endsAt: fake.now() + fake.tokenSeconds * 1000 });
    const seconds = { expires_in: fake.tokenSeconds, ext_expires_in: fake.tokenSeconds };
    return { status: 200, body: { token_type: 'Bearer', ...seconds, access_token: token } };
  }

  async function assertionFault(assertion: string): Promise<string | undefined> {
    try {
      const { alg, 'x5t#S256': thumbprint } = decodeProtectedHeader(assertion) as { alg?: string; 'x5t#S256'?: string };
      const found = fake.certificates
        .map((pem) => new X509Certificate(pem))
        .find(({ raw }) => createHash('sha256').update(raw).digest('base64url') === thumbprint);
      if (found === undefined) return 'AADSTS700027: The certificate with this identifier is not registered.';
      const { payload } = await jwtVerify(assertion, found.publicKey, {
        algorithms: ['PS256'],
        audience: `${fake.url}/${fake.directory}/oauth2/v2.0/token`,
        issuer: fake.clientId,
        subject: fake.clientId,
        currentDate: new Date(fake.now()),
      });
      const { exp = 0, jti = '' } = payload;
      if (alg !== 'PS256' || exp * 1000 > fake.now() + 600_000)
        return 'AADSTS700024: Client assertion is not within its valid time range.';
      if (jti === '' || seen.has(jti)) return 'AADSTS700027: jti was used before.';
      seen.add(jti);
      return undefined;
    } catch {
      return 'AADSTS700027: Client assertion failed signature validation.';
    }
  }

  return fake;
}

const refuse = (error: string, text: string): ServiceAnswer => ({
  status: error === 'invalid_client' ? 401 : 400,
  body: { error, error_description: `${text} Trace ID: 0`, error_codes: [] },
});
