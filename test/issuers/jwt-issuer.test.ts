import { decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { createTaskTokenAuthenticator } from '../../src/adapters/authn/task-token-authenticator.ts';
import { CONNECTOR_TOKEN_TYPE, createJwtIssuer, type JwtIssuerOptions } from '../../src/adapters/issuers/jwt-issuer.ts';
import { agentId } from '../../src/domain/ids.ts';
import type { IssueRequest } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { createSigningGateway, type SigningGateway } from './signing-gateway.ts';

const CRM = 'https://crm.example.com/mcp';
const gateway = await createSigningGateway();

function options(more: Partial<JwtIssuerOptions> = {}): JwtIssuerOptions {
  return { audience: CRM, scopes: {}, sign: gateway.sign, clock: Date.now, ...more };
}

/** What a connector does that follows docs/how-to/choose-an-issuer.md. */
async function verifyAsConnector(token: string, by: SigningGateway = gateway, audience = CRM): Promise<JWTPayload> {
  const rules = {
    algorithms: ['ES256'],
    issuer: by.url,
    audience,
    typ: CONNECTOR_TOKEN_TYPE,
    requiredClaims: ['exp', 'jti'],
  };
  return (await jwtVerify(token, by.keys, rules)).payload;
}

issuerSuite('jwt', async () => ({
  issuer: createJwtIssuer(options()),
  other: () => createJwtIssuer(options()),
  clock: Date.now,
  resources: ['contacts/42'],
  actionClasses: ['read'],
  canUse: ({ token }) =>
    verifyAsConnector(token?.reveal() ?? '').then(
      () => true,
      () => false,
    ),
  exists: undefined,
  broken: [createJwtIssuer(options({ sign: () => Promise.reject(new Error('the vault is away')) }))],
  secrets: ['not-in-here'],
  stop: async () => {},
}));

describe('a token that the gateway signs for a connector', () => {
  const issuer = createJwtIssuer(options({ scopes: { read: ['contacts.read'] } }));

  async function issue(more: Partial<IssueRequest> = {}) {
    const lease = newLease(issuer);
    const request = { ...requestFor(lease, AbortSignal.timeout(5_000)), resources: ['contacts/42'], ...more };
    const issued = await issuer.issue({ ...request, actionClasses: ['read', 'write'] });
    return { lease, issued, token: issued.fields.token?.reveal() ?? '' };
  }

  it('says who acts, for whom, on what task and what resources, until when', async () => {
    const { lease, issued, token } = await issue({ agent: agentId('seller') });
    const claims = await verifyAsConnector(token);
    expect(claims).toEqual({
      iss: gateway.url,
      aud: CRM,
      sub: 'seller',
      client_id: 'seller',
      iat: expect.any(Number),
      exp: expect.any(Number),
      jti: lease.tag,
      tenant: lease.tenant,
      task: lease.task,
      connector: lease.connector,
      scope: 'contacts.read write',
      resources: ['contacts/42'],
    });
    expect(Number(claims.exp) * 1000).toBeLessThanOrEqual(lease.expiresAt);
    expect(issued.nativeExpiresAt).toBe(Number(claims.exp) * 1000);
    expect(issued.scope).toBe(`contacts.read write at ${CRM}`);
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', typ: CONNECTOR_TOKEN_TYPE, kid: 'connector-1' });
  });

  it('names the user, and the agent as the actor', async () => {
    const user = { issuer: 'https://idp.example.com', subject: 'ada', groups: ['sales'] };
    const { token } = await issue({ agent: agentId('seller'), user });
    expect(await verifyAsConnector(token)).toMatchObject({
      sub: 'ada',
      act: { sub: 'seller' },
      user: { iss: 'https://idp.example.com' },
    });
  });

  it('is of no use at another connector', async () => {
    const { token } = await issue();
    await expect(verifyAsConnector(token, gateway, 'https://other.example.com/mcp')).rejects.toMatchObject({
      claim: 'aud',
    });
  });

  it('R49 is never taken for a task token, whatever its audience and type say', async () => {
    const tasks = await createSigningGateway();
    const resource = `${gateway.url}/mcp`;
    // Everything as the endpoint wants it, but for the key; and with the key set of both, but for the type.
    for (const [type, key] of [
      ['at+jwt', 'task keys alone'],
      [CONNECTOR_TOKEN_TYPE, 'both'],
    ] as const) {
      const own = createJwtIssuer(
        options({
          audience: resource,
          sign: (claims) => gateway.sign({ ...claims, client_id: claims.sub }, type),
        }),
      );
      const request = requestFor(newLease(own), AbortSignal.timeout(5_000));
      const { fields } = await own.issue({ ...request, resources: ['a'], actionClasses: ['read'] });
      const verificationKeys = new Map([['task-1', tasks.verificationKey]]);
      if (key === 'both') verificationKeys.set('connector-1', gateway.verificationKey);
      const authenticator = createTaskTokenAuthenticator({
        issuer: gateway.url,
        audience: resource,
        keys: () => verificationKeys,
        clock: Date.now,
      });
      const verdict = await authenticator.authenticate(`Bearer ${fields.token?.reveal()}`);
      expect(verdict, key).toMatchObject({ refusal: { kind: 'unauthenticated', error: 'invalid_token' } });
    }
  });

  it('R49 a task token is refused by a connector: of another type, for another audience', async () => {
    const { lease } = await issue();
    const claims = { sub: 'seller', iat: 1, exp: Math.floor(Date.now() / 1000) + 60, jti: lease.tag };
    const taskToken = await gateway.sign({ ...claims, aud: `${gateway.url}/mcp` }, 'at+jwt');
    await expect(verifyAsConnector(taskToken)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_JWT/) });
    await expect(verifyAsConnector(await gateway.sign({ ...claims, aud: CRM }, 'at+jwt'))).rejects.toMatchObject({
      claim: 'typ',
    });
  });

  it.each([
    [{ expiresAt: 0 }, 'ends before it begins'],
    [{ resources: ['x'.repeat(5_000)] }, 'more resources than a token can carry'],
  ])('is not signed for %j', async (more, message) => {
    await expect(issue(more)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining(message),
    });
  });
});
