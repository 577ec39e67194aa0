import { decodeProtectedHeader, type JWK } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { isRefused } from '../../src/domain/refusal.ts';
import { loadOrCreateSigningKeys } from '../../src/http/authorization-server/signing-keys.ts';
import { createMemorySigningKeys } from '../support/fake-memory-repositories.ts';
import { type Fixture, startFixture } from './authorization-fixture.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };

async function makeKeys(repository = createMemorySigningKeys(), clock = () => 1_000_000, settleMs = 0) {
  const sealed: string[] = [];
  const keys = await loadOrCreateSigningKeys({
    repository,
    seal: async (name, plaintext) => {
      sealed.push(name);
      return { keyId: 'kek', envelope: Buffer.from(`${name}|${plaintext.toString('base64')}`) };
    },
    open: async (name, { envelope }) => {
      const [bound, text = ''] = envelope.toString().split('|');
      if (bound !== name) throw new Error('sealed for another record');
      return Buffer.from(text, 'base64');
    },
    clock,
    log,
    tokenSeconds: 600,
    settleMs,
  });
  return { keys, sealed, repository };
}

describe('signing keys of several nodes', () => {
  const SETTLE_MS = 3_000;
  async function twoNodes() {
    let now = 1_000_000;
    const repository = createMemorySigningKeys();
    const clock = () => now;
    const advance = (ms: number): void => {
      now += ms;
    };
    const node = async () => (await makeKeys(repository, clock, SETTLE_MS)).keys;
    const [one, other] = [await node(), await node()];
    return { one, other, advance, repository };
  }

  it('of nodes that start together on an empty store one makes the first key, and the others sign with it', async () => {
    const repository = createMemorySigningKeys();
    const first = await makeKeys(repository, undefined, SETTLE_MS);
    // It was read before the other node's was there, and the store takes one current key alone.
    let looks = 0;
    const late = {
      ...repository,
      list: async () => (looks++ === 0 ? [] : repository.list()),
      rotate: async () => {
        throw new RemitError('ERR_STORE_LOCKED', 'another writer was there first');
      },
    };
    const second = await makeKeys(Object.assign(late, { rows: repository.rows }), undefined, SETTLE_MS);
    expect(second.keys.current().kid).toBe(first.keys.current().kid);
    expect(second.keys.verificationKeys().size).toBe(1);
    const locked = Object.assign({ ...late, list: async () => [] }, { rows: [] });
    await expect(makeKeys(locked, undefined, SETTLE_MS)).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
  });

  it('a new key signs nothing until every node can have read it, and the old one is good for what it signs meanwhile', async () => {
    const { one, other, advance, repository } = await twoNodes();
    const before = one.current().kid as string;
    expect(other.current().kid).toBe(before);
    await one.rotate();
    expect(one.current().kid).toBe(before);
    await other.refresh();
    const made = [...other.verificationKeys().keys()].find((kid) => kid !== before) as string;
    expect(other.current().kid).toBe(before);
    let told = 0;
    other.onChange(() => {
      told += 1;
    });
    advance(SETTLE_MS);
    await Promise.all([one.refresh(), other.refresh()]);
    expect([one.current().kid, other.current().kid]).toEqual([made, made]);
    expect(told).toBe(1);
    const retired = repository.rows.find(({ kid }) => kid === before);
    expect(retired?.retiresAt).toBe(1_000_000 + 605_000 + SETTLE_MS);
    advance(605_000);
    expect([...one.verificationKeys().keys()]).toEqual([made]);
  });

  it('a key that leaked signs no more from then on, at its own node at once and at the others with the next look', async () => {
    const { one, other } = await twoNodes();
    const leaked = one.current().kid as string;
    await one.rotate(1_000_000);
    await other.refresh();
    for (const keys of [one, other]) {
      expect(keys.current().kid).not.toBe(leaked);
      expect(keys.verificationKeys().has(leaked)).toBe(false);
    }
  });
});

describe('signing keys', () => {
  it('makes a sealed key once, and loads it the next time', async () => {
    const first = await makeKeys();
    expect(first.sealed).toEqual([`signing-key:${first.keys.current().kid}`]);
    expect(first.repository.rows).toMatchObject([{ kid: first.keys.current().kid, state: 'current', keyId: 'kek' }]);
    const again = await makeKeys(first.repository);
    expect(again.sealed).toEqual([]);
    expect(again.keys.current()).toEqual(first.keys.current());
    expect(again.keys.publicJwks().keys).toEqual([expect.not.objectContaining({ d: expect.anything() })]);
  });

  it('wipes the plaintext that was sealed and opened', async () => {
    const repository = createMemorySigningKeys();
    const seen: Buffer[] = [];
    await loadOrCreateSigningKeys({
      repository,
      seal: async (_name, plaintext) => {
        seen.push(plaintext);
        return { keyId: 'kek', envelope: Buffer.from(plaintext) };
      },
      open: async (_name, { envelope }) => {
        const plaintext = Buffer.from(envelope);
        seen.push(plaintext);
        return plaintext;
      },
      clock: () => 0,
      log,
      tokenSeconds: 600,
    });
    expect(seen).toHaveLength(2);
    expect(seen.every((buffer) => buffer.every((byte) => byte === 0))).toBe(true);
  });

  it('retires the old key until its last token has expired, then refuses what it signed', async () => {
    let now = 1_000_000;
    const { keys, repository } = await makeKeys(createMemorySigningKeys(), () => now);
    const old = String(keys.current().kid);
    const before = keys.verificationKeys();
    expect(keys.verificationKeys(), 'the same map while nothing changes').toBe(before);
    await keys.rotate();
    const fresh = String(keys.current().kid);
    expect(fresh).not.toBe(old);
    expect(keys.publicJwks().keys.map(({ kid }) => kid)).toEqual([fresh, old]);
    expect(keys.verificationKeys()).not.toBe(before);
    now += 604_999;
    expect([...keys.verificationKeys().keys()].sort()).toEqual([fresh, old].sort());
    now += 1;
    expect([...keys.verificationKeys().keys()]).toEqual([fresh]);
    expect(keys.publicJwks().keys.map(({ kid }) => kid)).toEqual([fresh]);
    now += 1;
    await keys.rotate();
    expect(repository.rows.map(({ kid }) => kid)).not.toContain(old);
  });

  it('refuses a row that holds another key than it names', async () => {
    const { repository } = await makeKeys();
    const [row] = repository.rows;
    if (row)
      repository.rows = [
        { ...row, kid: 'forged', envelope: Buffer.from(row.envelope.toString().replace(row.kid, 'forged')) },
      ];
    await expect(makeKeys(repository)).rejects.toMatchObject({ code: 'ERR_STORE_SCHEMA' });
  });
});

describe('rotation under the authorization server', () => {
  let fixture: Fixture | undefined;
  afterEach(() => fixture?.close());

  it('signs with the new key at once, verifies with both, shows both', async () => {
    fixture = await startFixture();
    const old = await fixture.declare({ template: 'triage' });
    const authenticate = async (token: unknown) =>
      isRefused(await (fixture as Fixture).authenticator.authenticate(`Bearer ${String(token)}`));
    expect(await authenticate(old.body.access_token)).toBe(false);
    await fixture.signingKeys.rotate();
    const fresh = await fixture.declare({ template: 'triage' });
    const kids = [fresh, old].map(({ body }) => decodeProtectedHeader(String(body.access_token)).kid);
    expect(new Set(kids).size).toBe(2);
    expect(await authenticate(old.body.access_token)).toBe(false);
    expect(await authenticate(fresh.body.access_token)).toBe(false);
    const shown = (await (await fetch(`${fixture.issuer}/oauth/jwks`)).json()) as { keys: JWK[] };
    expect(shown.keys.map(({ kid }) => kid)).toEqual(kids);
  });

  it('V1 a key that leaked is dropped at once: its tokens, cached ones too, are refused', async () => {
    fixture = await startFixture();
    const { body } = await fixture.declare({ template: 'triage' });
    const header = `Bearer ${String(body.access_token)}`;
    expect(isRefused(await fixture.authenticator.authenticate(header))).toBe(false);
    await fixture.signingKeys.rotate(Date.now());
    expect(await fixture.authenticator.authenticate(header)).toMatchObject({
      refusal: { reason: expect.stringContaining('not signed by a key') },
    });
  });
});
