import { createHash } from 'node:crypto';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import type { Lease } from '../../domain/lease.ts';
import { Secret } from '../../domain/secret.ts';
import type { ActionClass } from '../../domain/tool.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { describeFault, issueFault, orAbort } from './issuer-faults.ts';
import { assertLeaseTag } from './lease-tag.ts';
import { readSshCa } from './ssh-ca.ts';
import { createUserKey, signCertificate } from './ssh-certificate.ts';
import { serialOf } from './ssh-krl.ts';
import { createKrlFile } from './ssh-krl-file.ts';
import { describeSshScope, permitsOf, type SshClass, sshScope } from './ssh-scope.ts';

export interface SshIssuerOptions {
  /** What its certificates open, for people: `web fleet`. */
  readonly servers: string;
  /** The authority's private key, without a passphrase. Asked at every use. */
  readonly caKey: () => Promise<Secret>;
  readonly classes: Readonly<Partial<Record<ActionClass, SshClass>>>;
  /** CIDRs that a certificate may be used from; none: any. */
  readonly sourceAddresses: readonly string[];
  /** The list of revoked certificates that the servers read, or that is brought to them. Left out: none is revoked. */
  readonly krlFile?: string | undefined;
  /** Whether servers read that very file at each login, so that a revoke reaches them at once. */
  readonly sharedKrl: boolean;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Longest one revoke may take, milliseconds; it fails then and is tried again. */
  readonly revokeWithinMs?: number;
}

const REVOKE_WITHIN_MS = 15_000;
/** For clocks of servers that are behind. Seconds. */
const BACKDATED = 60;
/** Allows nothing that is asked for: the gateway's own discovery. */
const NOTHING: SshClass = {
  forceCommand: 'exit 1',
  anyCommand: false,
  pty: false,
  portForwarding: false,
  agentForwarding: false,
  x11Forwarding: false,
};

/**
 * A user certificate of OpenSSH per lease, for a key that is made with it: for the task's principals, one forced command, until the lease ends. Nothing
 * is made at the servers. A list of revoked certificates stops the next login; no session that is open is ended by it, nor by the end of its
 * certificate (guarantees L3, L7).
 */
export function createSshIssuer(options: SshIssuerOptions): Issuer {
  const { servers, classes, krlFile, clock, random, revokeWithinMs = REVOKE_WITHIN_MS } = options;
  const krl = krlFile === undefined ? undefined : createKrlFile({ file: krlFile, clock });

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { tag, resources, actionClasses, expiresAt, signal } = request;
    assertLeaseTag(tag);
    const isBare = actionClasses.length === 0 && resources.length === 0;
    // Nobody is known by the tag's name, so this opens no account at all.
    const scope = isBare ? { principals: [tag], allowed: NOTHING } : sshScope(resources, actionClasses, classes);
    const now = clock();
    const end = Math.floor(expiresAt / 1000);
    if (end * 1000 <= now) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    signal.throwIfAborted();
    const ca = readSshCa(await options.caKey());
    // What could not be revoked is not given out.
    await krl?.prepare(ca.publicKey, signal);
    const seed = Buffer.from(random(32));
    const { publicKey, file } = createUserKey(seed, tag);
    seed.fill(0);
    const serial = serialIn(tag, expiresAt);
    const certificate = signCertificate(
      {
        publicKey,
        serial,
        keyId: tag,
        principals: scope.principals,
        validAfter: Math.floor(now / 1000) - BACKDATED,
        validBefore: end,
        forceCommand: scope.allowed.forceCommand?.replaceAll('{until}', String(end)),
        sourceAddresses: options.sourceAddresses,
        permits: permitsOf(scope.allowed),
        nonce: random(32),
      },
      ca,
    );
    signal.throwIfAborted();
    const privateKey = new Secret(file);
    file.fill(0);
    return {
      fields: { privateKey, certificate: new Secret(certificate) },
      scope: isBare ? 'no rights' : describeSshScope(scope),
      nativeExpiresAt: end * 1000,
      handle: new Secret(`${serial} ${ca.publicKey.toString('base64')}`),
    };
  }

  async function revoke(lease: Lease, handle: Secret | undefined, signal: AbortSignal): Promise<void> {
    assertLeaseTag(lease.tag);
    if (krl === undefined) return;
    const [serial, authority] = handle?.reveal().split(' ') ?? [];
    // By the authority that signed it, whatever signs now: a list names certificates by both. A handle of an earlier Remit names none.
    const ca = authority === undefined ? readSshCa(await options.caKey()).publicKey : Buffer.from(authority, 'base64');
    // Without the handle: as it was intended, or as it was recorded.
    const ends = [lease.expiresAt, lease.nativeExpiresAt ?? lease.expiresAt];
    const serials = serial === undefined ? ends.map((end) => serialIn(lease.tag, end)) : [BigInt(serial)];
    await krl.revoke(ca, serials, signal);
  }

  return {
    kind: 'ssh',
    downstream: servers,
    minTtlSeconds: 1,
    revocation: krl !== undefined && options.sharedKrl ? 'next_use' : 'expiry_only',
    async issue(request) {
      try {
        return await orAbort(issue(request), request.signal, () => {});
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: servers,
          what: 'no certificate could be signed',
          hint: 'See that caKey is a private key without a passphrase, and that the gateway can write krlFile and its folder.',
        });
      }
    },
    async revoke(lease, handle) {
      const signal = AbortSignal.timeout(revokeWithinMs);
      try {
        await orAbort(revoke(lease, handle, signal), signal, () => {});
      } catch (error) {
        const fault = signal.aborted ? `not done within ${revokeWithinMs} ms` : describeFault(error);
        throw new RemitError(
          'ERR_CREDENTIAL_REVOKE',
          `certificate ${lease.tag} is not on the list of revoked: ${fault}`,
          {
            where: krlFile ?? servers,
            hint: 'It is tried again. See that the gateway can write krlFile and its folder, and that it is a list of OpenSSH.',
            cause: error,
          },
        );
      }
    },
    close: async () => {},
  };
}

function serialIn(tag: string, expiresAt: number): bigint {
  return serialOf(Math.floor(expiresAt / 1000), createHash('sha256').update(tag).digest());
}
