import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { messageOf, RemitError } from '../domain/errors.ts';

/** An agent's key pair on disk: the private half 0600 with the agent, the public half as a JWKS for the gateway. */
export interface AgentKeyFiles {
  readonly privateKey: string;
  readonly publicKeys: string;
}

/** Makes an ES256 key pair and adds its public half to the JWKS. Refuses to overwrite a private key: it may still be in use. */
export async function writeAgentKey(agent: string, files: AgentKeyFiles): Promise<{ kid: string }> {
  const pair = await generateKeyPair('ES256', { extractable: true });
  const publicJwk = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  const shared = { kid, alg: 'ES256', use: 'sig' };
  await mkdir(dirname(files.privateKey), { recursive: true, mode: 0o700 });
  await mkdir(dirname(files.publicKeys), { recursive: true });
  try {
    const file = await open(files.privateKey, 'wx', 0o600);
    await file.writeFile(`${JSON.stringify({ ...(await exportJWK(pair.privateKey)), ...shared })}\n`);
    await file.close();
  } catch (cause) {
    throw new RemitError('ERR_AGENT_KEY', `cannot write the key of agent ${agent}: ${messageOf(cause)}`, {
      where: files.privateKey,
      hint: 'If the file exists already, move it away first; whoever uses it must then get the new one.',
      cause,
    });
  }
  // Earlier keys stay: an agent that still runs with one must not be locked out. Whoever retires a key deletes it from the file.
  const earlier = await readFile(files.publicKeys, 'utf8')
    .then((text) => (JSON.parse(text) as { keys?: JWK[] }).keys ?? [])
    .catch(() => []);
  const keys = [{ ...publicJwk, ...shared }, ...earlier];
  await writeFile(files.publicKeys, `${JSON.stringify({ keys }, null, 2)}\n`);
  return { kid };
}

/** Reads an agent's private key. @throws `ERR_AGENT_KEY` when it is absent, readable by others, or no private JWK */
export async function readAgentKey(path: string): Promise<JWK> {
  let text: string;
  let mode: number;
  try {
    mode = (await stat(path)).mode;
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new RemitError('ERR_AGENT_KEY', 'cannot read the agent’s private key', {
      where: path,
      hint: 'Make one with `remit agent keygen NAME`, or name it with --key.',
      cause,
    });
  }
  if ((mode & 0o077) !== 0) {
    throw new RemitError('ERR_AGENT_KEY', 'the agent’s private key can be read by others', {
      where: path,
      hint: `Run \`chmod 600 ${path}\`, and make a new key if somebody may have read it.`,
    });
  }
  try {
    const jwk = JSON.parse(text) as JWK;
    if (jwk.kty === undefined || jwk.d === undefined) throw new Error('no private JWK');
    return jwk;
  } catch {
    // The parser's message could quote the key: it is not passed on.
    throw new RemitError('ERR_AGENT_KEY', 'the file does not hold a private JWK', {
      where: path,
      hint: 'Make a new key with `remit agent keygen NAME` in another place.',
    });
  }
}

/** Reads a JWKS file with public keys. @throws `ERR_AGENT_KEY`; private members are refused */
export async function readPublicKeys(path: string): Promise<{ keys: JWK[] }> {
  let jwks: { keys?: unknown } | null;
  try {
    jwks = JSON.parse(await readFile(path, 'utf8')) as { keys?: unknown } | null;
  } catch (cause) {
    throw new RemitError(
      'ERR_AGENT_KEY',
      `cannot read the public keys: ${(cause as NodeJS.ErrnoException).code ?? 'not JSON'}`,
      {
        where: path,
        hint: 'Make them with `remit agent keygen NAME`.',
      },
    );
  }
  const keys = jwks?.keys;
  if (!Array.isArray(keys) || keys.length === 0 || keys.some((key) => key === null || typeof key !== 'object')) {
    throw new RemitError('ERR_AGENT_KEY', 'the file holds no JWKS with at least one key', {
      where: path,
      hint: 'Make one with `remit agent keygen NAME`.',
    });
  }
  if ((keys as JWK[]).some((key) => key.d !== undefined || key.k !== undefined)) {
    throw new RemitError('ERR_AGENT_KEY', 'the file holds a private or symmetric key; only public keys belong there', {
      where: path,
      hint: 'Replace the file by the public half, and make a new key pair: this one has been copied around.',
    });
  }
  return { keys: keys as JWK[] };
}
