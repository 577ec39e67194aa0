import { describe, expect, it } from 'vitest';
import { createStaticIssuer } from '../../src/adapters/issuers/static-issuer.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { agentId, connectorId, leaseId, taskId, tenantId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { IssueRequest } from '../../src/seams/issuer.ts';
import { issuerSuite } from '../suites/issuer-suite.ts';

const CANARY = 'canary-token-61d0';
const EXPIRES = '2030-01-01T00:00:00Z';
const exception = { owner: 'ops@example.org', reason: 'the vendor has no other', expires: EXPIRES };
const before = Date.parse(EXPIRES) - 1;

const request: IssueRequest = {
  lease: leaseId('lse_000000000000000000000001'),
  tenant: tenantId('default'),
  task: taskId('tsk_000000000000000000000001'),
  agent: agentId('a'),
  user: undefined,
  connector: connectorId('crm'),
  tool: undefined,
  tag: 'remit_000000000000000000000001',
  resources: [],
  actionClasses: ['read'],
  expiresAt: before,
  signal: new AbortController().signal,
};

issuerSuite('static', async () => ({
  issuer: createStaticIssuer({
    downstream: 'secret crm',
    secret: async () => ({ secret: new Secret(CANARY), version: 3 }),
    exception,
    clock: () => before,
  }),
  other: () =>
    createStaticIssuer({
      downstream: 'secret crm',
      secret: async () => ({ secret: new Secret(CANARY), version: 3 }),
      exception,
      clock: () => before,
    }),
  clock: () => before,
  resources: [],
  actionClasses: ['read'],
  canUse: async (fields) => fields.token?.reveal() === CANARY,
  exists: undefined,
  broken: [
    createStaticIssuer({
      downstream: 'secret crm',
      secret: async () => ({ secret: new Secret(CANARY), version: 3 }),
      exception,
      clock: () => before + 1,
    }),
    createStaticIssuer({
      downstream: 'secret crm',
      secret: () => Promise.reject(new RemitError('ERR_SECRET_MISSING', 'there is no secret', { hint: 'Set it.' })),
      exception,
      clock: () => before,
    }),
  ],
  secrets: [CANARY],
  stop: async () => {},
}));

describe('static issuer', () => {
  it('L2 refuses from the moment its exception ends', async () => {
    let now = before;
    const issuer = createStaticIssuer({
      downstream: 'secret crm',
      secret: async () => ({ secret: new Secret(CANARY), version: 3 }),
      exception,
      clock: () => now,
    });
    await expect(issuer.issue(request)).resolves.toMatchObject({ nativeExpiresAt: undefined });
    now = before + 1;
    await expect(issuer.issue(request)).rejects.toMatchObject({
      code: 'ERR_STATIC_WITHOUT_EXCEPTION',
      message: expect.stringContaining('ops@example.org'),
    });
  });

  it.each([
    ['no owner', { ...exception, owner: ' ' }],
    ['no reason', { ...exception, reason: '' }],
    ['no time', { ...exception, expires: 'some day' }],
  ])('L2 is not made for an exception with %s', (_, incomplete) => {
    const make = () =>
      createStaticIssuer({
        downstream: 'secret crm',
        secret: async () => ({ secret: new Secret(''), version: 1 }),
        exception: incomplete,
        clock: () => 0,
      });
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_STATIC_WITHOUT_EXCEPTION' }));
  });

  it('says in its scope whose exception it is, and until when', async () => {
    const issuer = createStaticIssuer({
      downstream: 'secret crm',
      secret: async () => ({ secret: new Secret(CANARY), version: 3 }),
      exception,
      clock: () => before,
    });
    const { scope } = await issuer.issue(request);
    expect(scope).toBe(`version 3 of a static secret under exception of ops@example.org until ${EXPIRES}`);
  });

  it('hands out copies: wiping one leaves the vault’s alone', async () => {
    const secret = new Secret(CANARY);
    const issuer = createStaticIssuer({
      downstream: 'secret crm',
      secret: async () => ({ secret, version: 1 }),
      exception,
      clock: () => before,
    });
    (await issuer.issue(request)).fields.token?.wipe();
    expect((await issuer.issue(request)).fields.token?.reveal()).toBe(CANARY);
  });
});
