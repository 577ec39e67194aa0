import { randomBytes } from 'node:crypto';
import { RemitError } from '../../src/domain/errors.ts';
import type { Lease, RevocationClass } from '../../src/domain/lease.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { IssueRequest, Issuer } from '../../src/seams/issuer.ts';

/** What one issue does: calls `commit` when the object appears downstream; what it throws, or never, is the reply. */
export type IssueScript = (commit: () => void, request: IssueRequest) => Promise<void>;
/** What one revoke does: calls `remove` when the object goes. */
export type RevokeScript = (remove: () => void, lease: Lease) => Promise<void>;

/** FAKE: an issuer with a downstream in memory, and a place to put a fault at each step. */
export interface FakeIssuer extends Issuer {
  /** Tags of the objects at the downstream, with the token that opens each. */
  readonly live: Map<string, Secret>;
  readonly requests: IssueRequest[];
  /** What each revoke was given, in the order of the calls. */
  readonly handles: (string | undefined)[];
  /** Tags, in the order of the calls. */
  readonly revokes: string[];
  /** Scripts for the next calls, first come first served; then it just works. */
  readonly issueScripts: IssueScript[];
  readonly revokeScripts: RevokeScript[];
  /** Secrets handed out. */
  readonly tokens: Secret[];
}

export interface FakeIssuerOptions {
  readonly revocation?: RevocationClass;
  readonly minTtlSeconds?: number;
  /** Whether an issue gives a handle, without which nothing can be revoked. */
  readonly hasHandles?: boolean;
  /** `nativeExpiresAt` of what it gives; the request's by default. */
  readonly nativeExpiresAt?: (request: IssueRequest) => number | undefined;
}

export function createFakeIssuer(options: FakeIssuerOptions = {}): FakeIssuer {
  const { revocation = 'immediate', minTtlSeconds = 1, hasHandles = false } = options;
  const nativeExpiresAt = options.nativeExpiresAt ?? ((request: IssueRequest) => request.expiresAt);
  const issuer: FakeIssuer = {
    kind: 'fake',
    downstream: 'memory',
    needsHandle: hasHandles,
    handles: [],
    minTtlSeconds,
    revocation,
    live: new Map(),
    requests: [],
    revokes: [],
    issueScripts: [],
    revokeScripts: [],
    tokens: [],
    async issue(request) {
      issuer.requests.push(request);
      const token = `canary-${randomBytes(12).toString('hex')}`;
      issuer.tokens.push(new Secret(token));
      const commit = () => void issuer.live.set(request.tag, new Secret(token));
      const script = issuer.issueScripts.shift() ?? justIssue;
      await script(commit, request);
      return {
        fields: { username: new Secret(request.tag), token: new Secret(token) },
        scope: `everything of ${request.resources.join(', ')}`,
        nativeExpiresAt: nativeExpiresAt(request),
        ...(hasHandles ? { handle: new Secret(`handle of ${request.tag}`) } : {}),
      };
    },
    async revoke(lease, handle) {
      issuer.revokes.push(lease.tag);
      issuer.handles.push(handle?.reveal());
      if (hasHandles && handle?.reveal() !== `handle of ${lease.tag}`) return;
      const script = issuer.revokeScripts.shift() ?? (async (remove: () => void) => remove());
      await script(() => void issuer.live.delete(lease.tag), lease);
    },
    close: async () => {},
  };
  return issuer;
}

const justIssue: IssueScript = async (commit, request) => {
  if (request.signal.aborted) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'not done before the issue deadline', { hint: 'Try again.' });
  }
  commit();
};

/** A promise that a test settles. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
  fail(error: Error): void;
}

export function createGate(): Gate {
  let open = () => {};
  let fail: (error: Error) => void = () => {};
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  opened.catch(() => {});
  return { opened, open, fail };
}

/** The next issue makes its object when the gate is opened. */
export function holdIssue({ issueScripts }: FakeIssuer): Gate {
  const gate = createGate();
  issueScripts.push(async (commit) => {
    await gate.opened;
    commit();
  });
  return gate;
}

export const issueFault = () => new RemitError('ERR_CREDENTIAL_ISSUE', 'the downstream is away');
export const revokeFault = () => new RemitError('ERR_CREDENTIAL_REVOKE', 'the downstream is away');
