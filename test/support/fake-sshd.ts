/**
 * FAKE: the part of an sshd that judges a user's certificate, which `sshpk` reads: its authority's signature, times, principal, forced command, and the
 * list of revoked in the file that it is given. No connection, no session, no proof that the client has the key but that it fits; Ed25519
 * authorities alone. `npm run services` has the real one. Never a part of the product.
 */
import { readFile } from 'node:fs/promises';
import sshpk from 'sshpk';
import { readKrl } from '../../src/adapters/issuers/ssh-krl.ts';

export interface FakeSshd {
  readonly ca: sshpk.Key;
  readonly principal: string;
  readonly krlFile: string | undefined;
  readonly clock: () => number;
}

export interface ShownCertificate {
  readonly serial: bigint;
  readonly keyId: string;
  readonly principals: readonly string[];
  readonly validFrom: number;
  readonly validUntil: number;
  /** Critical options, then extensions, by name. */
  readonly options: Readonly<Record<string, string>>;
  readonly extensions: readonly string[];
  readonly key: sshpk.Key;
  readonly isSignedBy: (ca: sshpk.Key) => boolean;
}

/** What `sshpk` keeps of a certificate, beside its published types. */
interface Inside {
  readonly serial: Buffer;
  readonly signatures: {
    readonly openssh: {
      readonly keyId: string;
      readonly exts: readonly { critical: boolean; name: string; data: Buffer }[];
    };
  };
  readonly subjects: readonly { uid?: string }[];
  readonly subjectKey: sshpk.Key;
  readonly issuerKey: sshpk.Key;
  readonly validFrom: Date;
  readonly validUntil: Date;
}

export function showCertificate(line: string): ShownCertificate {
  const certificate = sshpk.parseCertificate(line, 'openssh');
  const inside = certificate as unknown as Inside;
  const { keyId, exts } = inside.signatures.openssh;
  return {
    serial: inside.serial.readBigUInt64BE(),
    keyId,
    principals: inside.subjects.map(({ uid = '' }) => uid),
    validFrom: inside.validFrom.getTime(),
    validUntil: inside.validUntil.getTime(),
    // A text behind its length, within the field.
    options: Object.fromEntries(
      exts.filter(({ critical }) => critical).map(({ name, data }) => [name, `${data.subarray(4)}`]),
    ),
    extensions: exts.filter(({ critical }) => !critical).map(({ name }) => name),
    key: inside.subjectKey,
    // The library looks at the fingerprint of the authority's key too.
    isSignedBy: (ca) => isSigned(line, ca),
  };
}

/** The signature is the last text, over everything before it. */
function isSigned(line: string, ca: sshpk.Key): boolean {
  const bytes = Buffer.from(line.split(' ')[1] ?? '', 'base64');
  const signed = 4 + 4 + 'ssh-ed25519'.length + 4 + 64;
  const body = bytes.subarray(0, bytes.length - signed);
  const verifier = ca.createVerify('sha512') as unknown as {
    update(bytes: Buffer): void;
    verify(signature: sshpk.Signature): boolean;
  };
  verifier.update(body);
  return verifier.verify(sshpk.parseSignature(bytes.subarray(-64), 'ed25519', 'raw'));
}

/** Whether it would let the holder in, and to do what. */
export async function judge(
  sshd: FakeSshd,
  parts: { readonly privateKey: string; readonly certificate: string },
): Promise<{ readonly isIn: boolean; readonly command: string | undefined }> {
  const shown = showCertificate(parts.certificate);
  const own = sshpk.parsePrivateKey(parts.privateKey, 'openssh').toPublic();
  const now = sshd.clock();
  const list = sshd.krlFile === undefined ? undefined : await readFile(sshd.krlFile);
  const revoked = list === undefined ? new Set() : readKrl(list, sshd.ca.toBuffer('rfc4253', {})).serials;
  const isIn =
    own.fingerprint('sha256').toString() === shown.key.fingerprint('sha256').toString() &&
    shown.isSignedBy(sshd.ca) &&
    shown.principals.includes(sshd.principal) &&
    shown.validFrom <= now &&
    now < shown.validUntil &&
    !revoked.has(shown.serial);
  return { isIn, command: shown.options['force-command'] };
}
