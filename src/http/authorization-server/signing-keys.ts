import { Buffer } from 'node:buffer';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { isRemitError, RemitError } from '../../domain/errors.ts';
import type { Clock, Log } from '../../seams/clock.ts';
import type { SigningKey, SigningKeyRepository } from '../../seams/store.ts';

export interface SealedKey {
  readonly keyId: string;
  readonly envelope: Buffer;
}

export interface SigningKeysOptions {
  readonly repository: SigningKeyRepository;
  /** Seals under the vault's key; `name` binds the ciphertext to this use and this key. */
  readonly seal: (name: string, plaintext: Buffer) => Promise<SealedKey>;
  readonly open: (name: string, sealed: SealedKey) => Promise<Buffer>;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest life of a token. */
  readonly tokenSeconds: number;
  /** Clock skew that verifiers grant; default 5. */
  readonly skewSeconds?: number;
  /** Among several nodes: a new key signs so long after it was made, milliseconds, when every node has read it. Default 0. */
  readonly settleMs?: number;
}

/** The live key set: the authorization server signs with it, its JWKS shows it, the authenticator verifies with it. */
export interface SigningKeys {
  /** The private key that signs, with `kid`. For the authorization server alone. */
  current(): JWK;
  /** Public keys to show: the current one first, then those whose tokens may still live. */
  publicJwks(): { readonly keys: readonly JWK[] };
  /** Public keys by `kid`. A new map object whenever the set changes, so that caches can tell. */
  verificationKeys(): ReadonlyMap<string, CryptoKey>;
  /**
   * Makes a new current key. The old one verifies until `othersRetireAt` (milliseconds): by default when the last token
   * that it can have signed has expired. Give the present time to drop a key that leaked.
   */
  rotate(othersRetireAt?: number): Promise<void>;
  /** Reads whether another node has made a new key. @throws `ERR_STORE_*` */
  refresh(): Promise<void>;
  onChange(listener: () => void): void;
}

interface OpenKey {
  readonly row: SigningKey;
  readonly publicJwk: JWK;
  readonly key: CryptoKey;
}

const sealName = (kid: string): string => `signing-key:${kid}`;

/** Loads the token-signing keys, or makes the first one. @throws `ERR_VAULT_KEY_WRONG` from `open`, `ERR_STORE_*` */
export async function loadOrCreateSigningKeys(options: SigningKeysOptions): Promise<SigningKeys> {
  const { repository, seal, open, clock, log } = options;
  const settleMs = options.settleMs ?? 0;
  const lifeMs = (options.tokenSeconds + (options.skewSeconds ?? 5)) * 1000 + settleMs;
  const listeners: (() => void)[] = [];
  let keys: readonly OpenKey[] = [];
  let signing: JWK = {};
  let verification: ReadonlyMap<string, CryptoKey> = new Map();
  let nextRetirement = Number.POSITIVE_INFINITY;
  /** What was read last; the newest key may not sign yet. */
  let known = '';
  let isSettled = true;

  function publish(next: readonly OpenKey[]): void {
    keys = next.filter(({ row }) => row.retiresAt === undefined || row.retiresAt > clock());
    verification = new Map(keys.map(({ row, key }) => [row.kid, key]));
    nextRetirement = Math.min(...keys.map(({ row }) => row.retiresAt ?? Number.POSITIVE_INFINITY));
  }

  /** Drops keys whose time is over: from then on even a well-signed token of theirs is refused. */
  function prune(): void {
    if (clock() >= nextRetirement) publish(keys);
  }

  async function create(othersRetireAt: number): Promise<void> {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(privateKey);
    const kid = await calculateJwkThumbprint(jwk);
    const plaintext = Buffer.from(JSON.stringify(jwk));
    const sealed = await seal(sealName(kid), plaintext);
    plaintext.fill(0);
    await repository.rotate(
      { kid, state: 'current', ...sealed, createdAt: clock(), retiresAt: undefined },
      othersRetireAt,
    );
  }

  async function createFirst(): Promise<void> {
    try {
      await create(clock() + lifeMs);
    } catch (error) {
      if (!isRemitError(error, 'ERR_STORE_LOCKED')) throw error;
      // Of nodes that start together another was first: its key is the one.
      await load();
      if (signing.kid === undefined) throw error;
      return;
    }
    await load();
    log.info({ kid: signing.kid }, 'made the first token-signing key');
  }

  async function load(): Promise<void> {
    await openAll(await repository.list());
  }

  async function openAll(listed: readonly SigningKey[]): Promise<void> {
    const now = clock();
    const rows = listed.filter(({ retiresAt }) => retiresAt === undefined || retiresAt > now);
    const opened: OpenKey[] = [];
    let current: JWK | undefined;
    for (const row of [...rows].sort((a, b) => rank(a) - rank(b) || b.createdAt - a.createdAt)) {
      const jwk = await openKey(row);
      const { kty, crv, x, y } = jwk;
      const publicJwk = { kty, crv, x, y, kid: row.kid, alg: 'ES256', use: 'sig' } as JWK;
      opened.push({ row, publicJwk, key: (await importJWK(publicJwk, 'ES256')) as CryptoKey });
      if (row.state === 'current') current ??= { ...jwk, kid: row.kid, alg: 'ES256', use: 'sig' };
    }
    const newest = rows.find(({ kid }) => kid === current?.kid);
    const isFormerGood = opened.some(({ row }) => row.kid === signing.kid);
    isSettled = newest === undefined || !isFormerGood || now >= newest.createdAt + settleMs;
    if (current !== undefined && isSettled) signing = current;
    known = textOf(listed);
    publish(opened);
  }

  async function openKey(row: SigningKey): Promise<JWK> {
    const plaintext = await open(sealName(row.kid), row);
    const jwk = JSON.parse(plaintext.toString('utf8')) as JWK;
    plaintext.fill(0);
    // The row's name is not trusted: the key is what its thumbprint says.
    if (jwk.kty !== 'EC' || jwk.crv !== 'P-256' || (await calculateJwkThumbprint(jwk)) !== row.kid) {
      throw new RemitError('ERR_STORE_SCHEMA', `signing key '${row.kid}' does not hold the key of that name`, {
        hint: 'The store was altered. Restore it from a backup, or remove the row to have a new key made.',
      });
    }
    return jwk;
  }

  await load();
  if (signing.kid === undefined) {
    await createFirst();
  }

  return {
    current: () => signing,
    publicJwks() {
      prune();
      return { keys: keys.map(({ publicJwk }) => publicJwk) };
    },
    verificationKeys() {
      prune();
      return verification;
    },
    async rotate(othersRetireAt) {
      await create(othersRetireAt ?? clock() + lifeMs);
      await load();
      await repository.removeRetiredBefore(clock());
      log.info({ kid: signing.kid }, 'token-signing key rotated');
      for (const listener of listeners) listener();
    },
    async refresh() {
      const listed = await repository.list();
      if (isSettled && textOf(listed) === known) return;
      const before = signing.kid;
      await openAll(listed);
      if (signing.kid === before) return;
      log.info({ kid: signing.kid }, 'tokens are signed with another key from now on');
      for (const listener of listeners) listener();
    },
    onChange: (listener) => void listeners.push(listener),
  };
}

const textOf = (rows: readonly SigningKey[]): string =>
  rows.map(({ kid, state, retiresAt }) => `${kid} ${state} ${retiresAt}`).join('\n');

const rank = (row: SigningKey): number => (row.state === 'current' ? 0 : 1);
