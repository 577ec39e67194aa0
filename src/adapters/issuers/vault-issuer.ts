import { RemitError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { Secret } from '../../domain/secret.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { objectOf, ServiceRefusal, secondsOf, textOf } from '../clouds/ask-json.ts';
import { createVaultClient, pathOf, type VaultServer } from '../clouds/vault-client.ts';
import { asksForNothing, chooseRule, type RightsRule } from './choose-rule.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';
import { assertLeaseTag } from './lease-tag.ts';

/** A role of a secrets engine, and what it is for. */
export interface VaultRule extends RightsRule {
  readonly role: string;
}

export interface VaultIssuerOptions extends VaultServer {
  /** Where the secrets engine is mounted: `database`. */
  readonly mount: string;
  readonly rules: readonly VaultRule[];
  /** Role for the gateway's own listing; undefined: a server that needs a credential for it is not listed. */
  readonly discoveryRole: string | undefined;
  /** Policies of the token that a lease is read with; undefined: those of Remit's own. */
  readonly policies: readonly string[] | undefined;
  /** What a revoke of the engine is worth: whether it ends open sessions (`immediate`) or not (`next_use`). */
  readonly revocation: 'immediate' | 'next_use';
  readonly close: () => Promise<void>;
  /** Longest one revoke may take, milliseconds. */
  readonly revokeWithinMs?: number;
}

const REVOKE_WITHIN_MS = 10_000;
const RULES_AT = 'credential.vault.roles';

/** What revoking needs. Neither part opens anything, but who has them and a token may revoke. */
interface Handle {
  readonly lease: string;
  readonly accessor: string;
}

/**
 * A dynamic secret of Vault or OpenBao per lease. It is read with a token of its own, a child of Remit's that ends with the lease and cannot be
 * renewed: a Vault revokes what a token has leased when the token ends. So the lease's own end binds although an engine's role knows only one
 * duration, and a lease whose id was lost ends, too (guarantees L3, L5). The id is given by the Vault and cannot be found again by the tag:
 * without the handle nothing is revoked (`needsHandle`).
 */
export function createVaultIssuer(options: VaultIssuerOptions): Issuer {
  const { mount, rules, discoveryRole, policies, clock, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const vault = createVaultClient(options);

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { tag, signal, expiresAt } = request;
    signal.throwIfAborted();
    assertLeaseTag(tag);
    const role = roleOf(request);
    // Cut off, never rounded up.
    const seconds = Math.floor((expiresAt - clock()) / 1000);
    if (seconds < 1) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    const child = await createChild(request, seconds);
    try {
      const sentAt = clock();
      const path = `${pathOf(mount)}/creds/${encodeURIComponent(role)}`;
      const answer = await vault.ask({ method: 'GET', path, signal, token: child.token });
      const lease = textOf(answer, 'lease_id');
      const endsAt = endOf(secondsOf(answer, 'lease_duration'), sentAt, child.endsAt);
      return {
        fields: fieldsOf(objectOf(answer, 'data')),
        scope: `role ${role} of ${mount}`,
        nativeExpiresAt: Math.min(endsAt, expiresAt),
        handle: new Secret(JSON.stringify({ lease, accessor: child.accessor } satisfies Handle)),
      };
    } catch (error) {
      await giveBack(child.accessor);
      throw error;
    } finally {
      child.token.wipe();
    }
  }

  function roleOf(request: IssueRequest): string {
    if (!asksForNothing(request)) return chooseRule(rules, request, RULES_AT).role;
    if (discoveryRole !== undefined) return discoveryRole;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'no role is named for a credential that opens nothing', {
      hint: 'Name credential.vault.discoveryRole: a role that may connect and nothing more.',
    });
  }

  async function createChild(
    { tag, task, signal }: IssueRequest,
    seconds: number,
  ): Promise<{ token: Secret; accessor: string; endsAt: number }> {
    const ttl = `${seconds}s`;
    const body = {
      ttl,
      explicit_max_ttl: ttl,
      renewable: false,
      no_default_policy: true,
      display_name: tag,
      meta: { remit_lease: tag, remit_task: task },
      ...(policies !== undefined && { policies }),
    };
    const answer = await vault.ask({ method: 'POST', path: 'auth/token/create', body, signal }, seconds * 1000);
    const endsAt = clock() + seconds * 1000;
    const auth = objectOf(answer, 'auth');
    const accessor = textOf(auth, 'accessor');
    const given = secondsOf(auth, 'lease_duration');
    // A mount or a policy may make it shorter, and 0 is a token that does not end.
    if (given >= 1 && given <= seconds) {
      return {
        token: new Secret(textOf(auth, 'client_token')),
        accessor,
        endsAt: Math.min(endsAt, clock() + given * 1000),
      };
    }
    await giveBack(accessor);
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `a token for ${seconds} s was asked for, and one for ${given} s given`,
    );
  }

  /** When the first of both ends. A lease that ends long before its credential is used up would leave calls without one. */
  function endOf(leaseSeconds: number, sentAt: number, tokenEndsAt: number): number {
    const ownEnd = sentAt + leaseSeconds * 1000;
    if (leaseSeconds === 0) return tokenEndsAt;
    if (ownEnd >= tokenEndsAt - EARLY_MS) return Math.min(ownEnd, tokenEndsAt);
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `the engine’s role gives credentials for ${leaseSeconds} s only`, {
      hint: 'Raise the role’s default_ttl and max_ttl above the lease, or lower credential.ttlSeconds. The lease ends with its token all the same.',
    });
  }

  /** What is refused must not live on. Best effort: it ends by itself. */
  async function giveBack(accessor: string): Promise<void> {
    await revokeChild(accessor, AbortSignal.timeout(revokeWithinMs)).catch(() => {});
  }

  async function revokeChild(accessor: string, signal: AbortSignal): Promise<void> {
    const path = 'auth/token/revoke-accessor';
    await unlessGone(vault.ask({ method: 'POST', path, body: { accessor }, signal }));
  }

  async function revoke(handle: Handle, signal: AbortSignal): Promise<void> {
    const { lease, accessor } = handle;
    const body = { lease_id: lease };
    // `sync`: a Vault would else say yes, and try later.
    const asked = { method: 'PUT', path: 'sys/leases/revoke', body: { ...body, sync: true }, signal } as const;
    await unlessGone(vault.ask(asked));
    await revokeChild(accessor, signal);
    const left = await unlessGone(vault.ask({ method: 'PUT', path: 'sys/leases/lookup', body, signal }));
    if (left !== undefined) throw new Error('the server still knows the lease');
  }

  const issueAndReturn = (request: IssueRequest): Promise<IssuedCredential> =>
    orAbort(issue(request), request.signal, ({ handle, fields }) => {
      for (const field of Object.values(fields)) field.wipe();
      if (handle !== undefined) void giveBack(readHandle(handle).accessor);
    });

  return {
    kind: 'vault',
    downstream: `${vault.where} ${mount}`,
    minTtlSeconds: 1,
    revocation: options.revocation,
    needsHandle: true,
    async issue(request) {
      try {
        return await issueAndReturn(request);
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: vault.where,
          what: 'no dynamic secret was given',
          hint: 'See that Remit can log in there, may create tokens (auth/token/create) and has a policy for what the role needs.',
        });
      }
    },
    async revoke(_lease, handle) {
      if (handle === undefined) return;
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        await orAbort(revoke(readHandle(handle), signal), signal, () => {});
      } catch (error) {
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError('ERR_CREDENTIAL_REVOKE', `the secret may still be good: ${fault}`, {
          where: vault.where,
          hint: 'It is tried again. See that Remit may use sys/leases/revoke, sys/leases/lookup and auth/token/revoke-accessor.',
          cause: error,
        });
      }
    },
    close: () => options.close(),
  };
}

/** Whole seconds are cut off on both sides. */
const EARLY_MS = 2_000;

/** Of an engine's answer all that is text: `username` and `password` of a database. */
function fieldsOf(data: JsonObject): Record<string, Secret> {
  const texts = Object.entries(data).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  if (texts.length === 0) throw new Error('the answer has no credential in it');
  return Object.fromEntries(texts.map(([name, text]) => [name, new Secret(text)]));
}

function readHandle(handle: Secret): Handle {
  const value: unknown = JSON.parse(handle.reveal());
  if (!isJsonObject(value)) throw new Error('the handle is not one of ours');
  return { lease: textOf(value, 'lease'), accessor: textOf(value, 'accessor') };
}

/** "Not found" is success: undefined. Said in words of theirs: a 404 may be a proxy's, that has never heard of the lease. */
async function unlessGone(asked: Promise<JsonObject>): Promise<JsonObject | undefined> {
  try {
    return await asked;
  } catch (error) {
    const isGone = error instanceof ServiceRefusal && GONE_STATUS.has(error.status) && GONE.test(error.message);
    if (isGone) return undefined;
    throw error;
  }
}

const GONE_STATUS = new Set([400, 404]);
const GONE = /invalid lease|lease not found|invalid accessor|token not found|no token found/i;
