import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRemitError, RemitError } from '../../src/domain/errors.ts';
import { agentId, connectorId, leaseId, taskId, tenantId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { type Lease, leaseTag } from '../../src/domain/lease.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../src/seams/issuer.ts';
import type { PackageParts } from '../../src/seams/issuer-package.ts';

export type { CreateIssuer, PackageParts } from '../../src/seams/issuer-package.ts';
export type { IssuedCredential, IssueRequest, Issuer };

/** What the suite needs of an issuer and of a downstream that it may use freely. */
export interface IssuerHarness {
  readonly issuer: Issuer;
  /** Another of it, as a reaper makes one: with the configuration alone. The suite closes it. */
  other(): Issuer;
  /** The issuer's clock, milliseconds since the epoch. */
  clock(): number;
  /** Resources and classes of a task that the downstream can grant. */
  readonly resources: readonly string[];
  readonly actionClasses: readonly ActionClass[];
  /** Tries the credential at the downstream. */
  canUse(fields: Readonly<Record<string, Secret>>): Promise<boolean>;
  /** Whether an object with this tag is at the downstream. Undefined where an issue makes no object. */
  readonly exists: ((tag: string) => Promise<boolean>) | undefined;
  /** Issuers that cannot issue (unreachable downstream, wrong admin secret, …); the suite closes them. */
  readonly broken: readonly Issuer[];
  /** Long-lived secrets that must appear nowhere. */
  readonly secrets: readonly string[];
  /** After the issuer was closed. */
  stop(): Promise<void>;
}

/** What a package's `createIssuer` gets, for its own test: as the gateway gives it. */
export function parts(given: {
  readonly settings: JsonObject;
  readonly secret?: string;
  readonly clock?: () => number;
}): PackageParts {
  const { settings, secret, clock = Date.now } = given;
  return {
    settings,
    secret: async () => (secret === undefined ? undefined : new Secret(secret)),
    clock,
    random: randomBytes,
    Secret,
    fault: (code, message, more) => new RemitError(code, message, more),
  };
}

const LEASE_MS = 60_000;
let leases = 0;

/** A lease with a tag that no test has used yet; the suite may meet a downstream that outlives it. */
export function newLease(issuer: Issuer, now = Date.now()): Lease {
  const number = (++leases).toString(36).padStart(6, '0');
  const id = leaseId(
    `lse_${Date.now().toString(36).padStart(10, '0')}${process.pid.toString(36).padStart(8, '0')}${number}`,
  );
  return {
    id,
    tenant: tenantId('default'),
    task: taskId('tsk_000000000000000000000001'),
    agent: agentId('suite'),
    connector: connectorId('suite'),
    mode: 'task',
    tool: undefined,
    issuer: issuer.kind,
    downstream: issuer.downstream,
    tag: leaseTag(id),
    state: 'intended',
    revocation: issuer.revocation,
    scope: '',
    intendedAt: now,
    issueDeadline: now + 10_000,
    expiresAt: now + LEASE_MS,
    nativeExpiresAt: undefined,
    endedAt: undefined,
    endReason: undefined,
    attempts: 0,
    failingSince: undefined,
    uses: 0,
    claimedBy: '',
    claimedUntil: 0,
    fence: 1,
    lastError: undefined,
  };
}

/** A request of a lease that asks for nothing. */
export function requestFor(lease: Lease, signal: AbortSignal): IssueRequest {
  const { id, tenant, task, agent, connector, tag, expiresAt } = lease;
  return {
    lease: id,
    tenant,
    task,
    agent,
    user: undefined,
    connector,
    tool: undefined,
    tag,
    resources: [],
    actionClasses: [],
    expiresAt,
    signal,
  };
}

/** Conformance of an `Issuer`: what the lease manager relies on. */
export function issuerSuite(name: string, start: () => Promise<IssuerHarness>): void {
  describe(`issuer ${name}`, () => {
    let harness: IssuerHarness;
    const live = new Map<Lease, Secret | undefined>();

    beforeAll(async () => {
      harness = await start();
    });
    afterAll(async () => {
      for (const lease of live.keys()) await revoke(lease);
      await Promise.all([harness.issuer, ...harness.broken].map((issuer) => issuer.close()));
      await harness.stop();
    });

    const freshLease = (): Lease => newLease(harness.issuer, harness.clock());
    const ask = (lease: Lease, signal = AbortSignal.timeout(10_000)): IssueRequest => {
      const { resources, actionClasses } = harness;
      return { ...requestFor(lease, signal), resources, actionClasses };
    };

    async function issue(signal?: AbortSignal): Promise<{ lease: Lease; issued: IssuedCredential }> {
      const lease = freshLease();
      live.set(lease, undefined);
      const issued = await harness.issuer.issue(ask(lease, signal));
      live.set(lease, issued.handle);
      return { lease, issued };
    }

    /** With what its issue gave, as the row would give it back. */
    const revoke = (lease: Lease): Promise<void> => harness.issuer.revoke(lease, live.get(lease));

    it('L7 declares its kind, what it opens, its shortest lifetime and how fast a revocation binds', () => {
      expect(harness.issuer.kind).toMatch(/^[a-z][a-z0-9_-]*$/);
      expect(harness.issuer.downstream).not.toBe('');
      expect(harness.issuer.minTtlSeconds).toBeGreaterThanOrEqual(0);
      expect(['immediate', 'next_use', 'expiry_only']).toContain(harness.issuer.revocation);
    });

    it('issues a credential that works, and says what it opens', async () => {
      const { issued } = await issue();
      expect(await harness.canUse(issued.fields)).toBe(true);
      expect(issued.scope).not.toBe('');
    });

    it('L2 leaves an object at the downstream under the lease’s tag, which revoking removes', async ({ skip }) => {
      if (harness.exists === undefined) return skip('an issue makes no object at this downstream');
      const { lease } = await issue();
      expect(await harness.exists(lease.tag)).toBe(true);
      await revoke(lease);
      expect(await harness.exists(lease.tag)).toBe(false);
    });

    it('L3 gives no credential that outlives its lease, or says that the downstream never ends it', async () => {
      const { lease, issued } = await issue();
      if (issued.nativeExpiresAt === undefined) {
        // L2: then something under the tag can be ended by whoever has the row, or nothing can end it and the class says so.
        expect(harness.exists !== undefined || harness.issuer.revocation === 'expiry_only').toBe(true);
      } else {
        const least = harness.clock() + harness.issuer.minTtlSeconds * 1000;
        expect(issued.nativeExpiresAt).toBeLessThanOrEqual(Math.max(lease.expiresAt, least));
      }
    });

    it('L2 gives a handle where it says that revoking needs one', async () => {
      const { issued } = await issue();
      if (harness.issuer.needsHandle === true) expect(issued.handle).toBeDefined();
    });

    it('L7 ends what it claims to end', async () => {
      const { lease, issued } = await issue();
      await revoke(lease);
      const isEnded = harness.issuer.revocation !== 'expiry_only';
      expect(await harness.canUse(issued.fields)).toBe(!isEnded);
    });

    it('L3 is ended by another process, which has its row alone', async () => {
      const { lease, issued } = await issue();
      const reaper = harness.other();
      await reaper.revoke(lease, live.get(lease));
      await reaper.close();
      expect((await harness.exists?.(lease.tag)) ?? false).toBe(false);
      expect(await harness.canUse(issued.fields)).toBe(harness.issuer.revocation === 'expiry_only');
    });

    it('L4 revokes twice without complaint, one after the other and at once', async () => {
      const { lease } = await issue();
      await Promise.all([revoke(lease), revoke(lease)]);
      await revoke(lease);
      expect((await harness.exists?.(lease.tag)) ?? false).toBe(false);
    });

    it('L4 takes "not found" as success: a lease that was never issued', async () => {
      await expect(revoke(freshLease())).resolves.toBeUndefined();
    });

    it('revokes one lease without harm to another', async () => {
      const [one, other] = [await issue(), await issue()];
      await revoke(one.lease);
      expect(await harness.canUse(other.issued.fields)).toBe(true);
    });

    it('issues many at once', async () => {
      const issued = await Promise.all(Array.from({ length: 8 }, () => issue()));
      expect(await Promise.all(issued.map((one) => harness.canUse(one.issued.fields)))).not.toContain(false);
      await Promise.all(issued.map((one) => revoke(one.lease)));
      const left = await Promise.all(issued.map((one) => harness.exists?.(one.lease.tag) ?? false));
      expect(left).not.toContain(true);
    });

    it('does not issue once its signal is aborted', async () => {
      const lease = freshLease();
      const error = await failureOf(harness.issuer.issue(ask(lease, AbortSignal.abort())));
      expect(isRemitError(error, 'ERR_CREDENTIAL_ISSUE')).toBe(true);
      await revoke(lease);
      expect((await harness.exists?.(lease.tag)) ?? false).toBe(false);
    });

    it('L4 leaves nothing after an issue aborted at any moment and one revoke', async ({ skip }) => {
      if (harness.issuer.needsHandle === true) return skip('an aborted issue gives no handle: its credential lapses');
      if (harness.exists === undefined) return skip('an issue makes no object at this downstream');
      for (const ms of [0, 1, 2, 3, 5, 8, 13, 21]) {
        const lease = freshLease();
        await harness.issuer.issue(ask(lease, AbortSignal.timeout(ms))).catch((error: unknown) => {
          expect(isRemitError(error, 'ERR_CREDENTIAL_ISSUE')).toBe(true);
        });
        await revoke(lease);
        expect(await harness.exists(lease.tag), `aborted after ${ms} ms`).toBe(false);
      }
    });

    it('L6 shows no secret: not in what it gives, not in what it throws', async () => {
      const { issued } = await issue();
      const errors = await Promise.all(harness.broken.map((issuer) => failureOf(issuer.issue(ask(freshLease())))));
      for (const error of errors) {
        expect(isRemitError(error)).toBe(true);
        expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_/), hint: expect.stringMatching(/.+/) });
      }
      const text = inspect([issued, harness.issuer, ...errors], { depth: 12, showHidden: true });
      const minted = Object.entries(issued.fields).filter(([field]) => field !== 'username');
      const handle = issued.handle === undefined ? [] : [issued.handle.reveal()];
      const secrets = [...harness.secrets, ...handle, ...minted.map(([, secret]) => secret.reveal())];
      expect(secrets.length).toBeGreaterThan(0);
      for (const secret of secrets) expect(text.includes(secret)).toBe(false);
    });
  });
}

function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.unreachable('it was issued'),
    (error: unknown) => error,
  );
}
