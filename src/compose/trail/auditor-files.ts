import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import type { Auditor } from '../../audit/auditor-keys.ts';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { Workspace } from '../workspace.ts';

/** The auditors that the configuration names, in its order. @throws `ERR_AUDITOR_KEY` for a file that is no public key */
export async function readAuditors({ config, loaded }: Pick<Workspace, 'config' | 'loaded'>): Promise<Auditor[]> {
  return Promise.all(
    Object.entries(config.auditors).map(async ([name, { publicKey }]) => {
      const path = loaded.resolvePath(publicKey);
      const jwk = await readJwk(path, `remit auditor keygen ${name}`);
      if (jwk.d !== undefined) {
        throw new RemitError('ERR_AUDITOR_KEY', `the public key of auditor ${name} holds the private half`, {
          where: path,
          hint: 'Make a new pair, and keep the private half away from this machine: this one has been here.',
        });
      }
      return { name, publicKey: { ...jwk, kid: await calculateJwkThumbprint(jwk) } };
    }),
  );
}

/** Whose keys open what is sealed, for the record of a start; nothing where there are none. */
export function namesOf(auditors: readonly Auditor[]): { readonly auditors?: Readonly<Record<string, unknown>> } {
  if (auditors.length === 0) return {};
  return { auditors: Object.fromEntries(auditors.map(({ name, publicKey }) => [name, publicKey.kid])) };
}

/** An auditor's private key. @throws `ERR_AUDITOR_KEY` when it is absent, readable by others, or none */
export async function readAuditorKey(path: string): Promise<JWK> {
  const { mode } = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  if ((mode & 0o077) !== 0) {
    throw new RemitError('ERR_AUDITOR_KEY', 'the auditor’s private key can be read by others', {
      where: path,
      hint: `Run \`chmod 600 ${path}\`, and make a new key if somebody may have read it.`,
    });
  }
  const jwk = await readJwk(path, 'remit auditor keygen NAME');
  if (jwk.d !== undefined) return { ...jwk, kid: await calculateJwkThumbprint(jwk) };
  throw new RemitError('ERR_AUDITOR_KEY', 'the file holds no private key', {
    where: path,
    hint: 'Give the file that `remit auditor keygen` wrote with --out.',
  });
}

/** Makes a pair: the private half for the auditor alone, the public one where the configuration looks for it. Overwrites neither. */
export async function writeAuditorKey(files: { privateKey: string; publicKey: string }): Promise<{ kid: string }> {
  const pair = await generateKeyPair('ECDH-ES+A256KW', { crv: 'P-256', extractable: true });
  const publicJwk = await exportJWK(pair.publicKey);
  await create(files.privateKey, JSON.stringify(await exportJWK(pair.privateKey)), 0o600);
  await create(files.publicKey, JSON.stringify(publicJwk), 0o644);
  return { kid: await calculateJwkThumbprint(publicJwk) };
}

async function create(path: string, text: string, mode: number): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'wx', mode);
    await file.writeFile(`${text}\n`);
    await file.close();
  } catch (cause) {
    throw new RemitError('ERR_AUDITOR_KEY', `cannot write the auditor’s key: ${messageOf(cause)}`, {
      where: path,
      hint: 'If the file exists already, move it away first: what was recorded for it opens with nothing else.',
      cause,
    });
  }
}

async function readJwk(path: string, maker: string): Promise<JWK> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    const jwk = JSON.parse(text) as JWK;
    if (jwk.kty !== 'EC' || jwk.crv !== 'P-256' || typeof jwk.x !== 'string' || typeof jwk.y !== 'string')
      throw new Error();
    return jwk;
  } catch {
    throw new RemitError('ERR_AUDITOR_KEY', 'the file holds no key of an auditor', {
      where: path,
      hint: `Make one with \`${maker}\`.`,
    });
  }
}

function unreadable(path: string, cause: unknown): RemitError {
  return new RemitError(
    'ERR_AUDITOR_KEY',
    `cannot read the auditor’s key: ${(cause as NodeJS.ErrnoException).code ?? 'unreadable'}`,
    {
      where: path,
      hint: 'Make one with `remit auditor keygen NAME`, or name its file.',
      cause,
    },
  );
}
