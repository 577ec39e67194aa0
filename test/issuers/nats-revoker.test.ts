import type { Account } from '@nats-io/jwt';
import { createUser } from '@nats-io/nkeys';
import { beforeEach, describe, expect, it } from 'vitest';
import type { NatsAdmin } from '../../src/adapters/issuers/nats-admin.ts';
import { readJwt, signJwt } from '../../src/adapters/issuers/nats-jwt.ts';
import { createNatsRevoker, type NatsRevoker } from '../../src/adapters/issuers/nats-revoker.ts';
import { createFakeNatsAccounts, type FakeNatsAccounts } from '../support/fake-nats-accounts.ts';

const NOW = 1_800_000_000_000;
const END = NOW / 1000 + 300;
const MARK = 10_000_000_000;
const signal = () => AbortSignal.timeout(5_000);
const user = () => createUser().getPublicKey();

let accounts: FakeNatsAccounts;
let now: number;
beforeEach(async () => {
  accounts = await createFakeNatsAccounts();
  now = NOW;
});

function gateway(more: { operatorKey?: FakeNatsAccounts['operator'] } = {}): NatsRevoker {
  const admin: NatsAdmin = accounts.admin((jwt) => revoker.check(jwt));
  const revoker = createNatsRevoker({
    admin: () => admin,
    account: accounts.account,
    operator: accounts.operator.publicKey,
    operatorKey: async () => more.operatorKey ?? accounts.signing,
    clock: () => now,
    roundMs: 5_000,
  });
  return revoker;
}

describe('revoking users of a NATS account', () => {
  it('enters a user with a time that revokes all it was given, and keeps the rest of the account', async () => {
    const theirs = user();
    accounts = await createFakeNatsAccounts({ [theirs]: 1_700_000_000 });
    const ours = user();
    await gateway().revoke(ours, END, signal());
    expect(accounts.revoked()).toEqual({ [theirs]: 1_700_000_000, [ours]: MARK + END });
    const claims = readJwt<Account>(accounts.jwt);
    expect(claims.iss).toBe(accounts.signing.publicKey);
    expect(claims.nats.description).toBe('kept');
  });

  it('L4 enters many at once by two pushes at most, and none takes another out', async () => {
    const revoker = gateway();
    const users = Array.from({ length: 30 }, user);
    await Promise.all(users.map((one) => revoker.revoke(one, END, signal())));
    expect(Object.keys(accounts.revoked()).toSorted()).toEqual(users.toSorted());
    expect(accounts.pushes.length).toBeLessThanOrEqual(2);
  });

  it('L4 is idempotent: what is entered is not pushed again by who knows that every server has it', async () => {
    const revoker = gateway();
    const one = user();
    await revoker.revoke(one, END, signal());
    await revoker.revoke(one, END, signal());
    expect(accounts.pushes).toHaveLength(1);
    await gateway().revoke(one, END, signal());
    expect(accounts.pushes).toHaveLength(2);
  });

  it('L4 an entry that not every server has confirmed does not count, though the one that is asked has it, nor for another process', async () => {
    const [revoker, restarted] = [gateway(), gateway()];
    const [one, other] = [user(), user()];
    accounts.afterPush = () => {
      throw new Error('1 of 3 servers confirmed');
    };
    for (const who of [revoker, revoker, restarted]) {
      await expect(who.revoke(one, END, signal())).rejects.toThrow('1 of 3');
      expect(accounts.revoked()).toHaveProperty(one);
    }
    accounts.afterPush = () => {};
    await revoker.revoke(one, END, signal());
    // What was confirmed once is so no more when a later push of it was not.
    accounts.afterPush = () => {
      throw new Error('2 of 3 servers confirmed');
    };
    await expect(revoker.revoke(other, END, signal())).rejects.toThrow('2 of 3');
    await expect(revoker.revoke(one, END, signal())).rejects.toThrow('2 of 3');
  });

  it('takes out what has ended by itself, and only that', async () => {
    const revoker = gateway();
    const [old, fresh] = [user(), user()];
    await revoker.revoke(old, END, signal());
    now = NOW + 361_000;
    await revoker.revoke(fresh, now / 1000 + 60, signal());
    expect(Object.keys(accounts.revoked())).toEqual([fresh]);
    await revoker.revoke(old, END, signal());
    expect(accounts.pushes).toHaveLength(2);
  });

  it('L4 reads back: an entry that another push took out in between is entered again before it counts', async () => {
    const one = user();
    const before = accounts.jwt;
    const push = gateway();
    let isFirst = true;
    // Somebody who read before writes right after our push, and nobody hears of it.
    accounts.afterPush = () => {
      if (isFirst) accounts.jwt = before;
      isFirst = false;
    };
    await push.revoke(one, END, signal());
    expect(accounts.revoked()).toHaveProperty(one);
    expect(accounts.pushes).toHaveLength(2);
  });

  it('L4 two gateways that read at the same time have both entries in the end', async () => {
    const [one, other] = [gateway(), gateway()];
    const users = [user(), user()] as const;
    // Both have read before either writes.
    let waiting = 0;
    let open = (): void => {};
    const both = new Promise<void>((resolve) => {
      open = resolve;
    });
    accounts.beforePush = () => {
      if (++waiting === 2) open();
      return both;
    };
    await Promise.all([one.revoke(users[0], END, signal()), other.revoke(users[1], END, signal())]);
    await expect.poll(() => Object.keys(accounts.revoked()).toSorted()).toEqual([...users].toSorted());
  });

  it('L4 enters again what a push that is heard lacks, and leaves alone what is another account’s or nonsense', async () => {
    const revoker = gateway();
    const one = user();
    const before = accounts.jwt;
    await revoker.revoke(one, END, signal());
    revoker.check('nonsense');
    revoker.check(await signJwt({ name: 'x', sub: user(), aud: 'NATS', nats: {} }, accounts.operator));
    expect(accounts.pushes).toHaveLength(1);
    accounts.jwt = before;
    revoker.check(before);
    await expect.poll(() => accounts.revoked()).toHaveProperty(one);
  });

  it('L7 signs no account that no key of the operator signed', async () => {
    const stranger = await createFakeNatsAccounts();
    accounts.jwt = await signJwt({ ...readJwt<Account>(accounts.jwt) }, stranger.operator);
    await expect(gateway().revoke(user(), END, signal())).rejects.toThrow(/no key of the operator/);
    expect(accounts.pushes).toEqual([]);
  });

  it('L7 pushes nothing that the operator’s keys have not signed: the servers would take it, and not heed it', async () => {
    const stranger = await createFakeNatsAccounts();
    const revoker = gateway({ operatorKey: stranger.operator });
    await expect(revoker.revoke(user(), END, signal())).rejects.toThrow(/which is no key of the operator/);
    expect(accounts.pushes).toEqual([]);
  });

  it('L4 fails where others change the account again and again, and what it could not enter is part of the next push', async () => {
    const revoker = gateway();
    const one = user();
    const before = accounts.jwt;
    accounts.afterPush = () => {
      accounts.jwt = before;
    };
    await expect(revoker.revoke(one, END, signal())).rejects.toThrow(/again and again/);
    accounts.afterPush = undefined;
    await revoker.revoke(user(), END, signal());
    expect(accounts.revoked()).toHaveProperty(one);
  });
});
