import { expect, test } from 'vitest';
import { countWinners, type StoreFixture } from '../suites/store-suite.ts';

/** Seconds, as oidc-provider gives them. */
const NOW_S = 1_790_000_000;

export function testOAuth(current: () => StoreFixture): void {
  test('a row is found until it expires, and written over', async () => {
    const { oauth } = current().store;
    await oauth.upsert('AccessToken', 'a', { jti: 'a', deep: { list: [1, 'ü'] } }, NOW_S + 10);
    await oauth.upsert('Client', 'a', { other: 'model' }, undefined);
    expect(await oauth.find('AccessToken', 'a', NOW_S)).toEqual({
      payload: { jti: 'a', deep: { list: [1, 'ü'] } },
      consumedAt: undefined,
    });
    expect(await oauth.find('AccessToken', 'a', NOW_S + 10)).toBeUndefined();
    expect(await oauth.find('AccessToken', 'none', NOW_S)).toBeUndefined();
    expect((await oauth.find('Client', 'a', NOW_S * 10))?.payload).toEqual({ other: 'model' });
    await oauth.upsert('AccessToken', 'a', { jti: 'a', changed: true }, NOW_S + 20);
    expect((await oauth.find('AccessToken', 'a', NOW_S + 10))?.payload).toEqual({ jti: 'a', changed: true });
  });

  test('a row is consumed once, whoever asks at the same time, and stays consumed', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await store.oauth.upsert('AuthorizationCode', 'c', { code: 1 }, NOW_S + 10);
    const attempts = Array.from({ length: 12 }, (_, n) =>
      (n % 2 === 0 ? store : other).oauth.consume('AuthorizationCode', 'c', NOW_S),
    );
    expect(await countWinners(attempts)).toBe(1);
    expect((await store.oauth.find('AuthorizationCode', 'c', NOW_S))?.consumedAt).toBe(NOW_S);
    await store.oauth.upsert('AuthorizationCode', 'c', { code: 2 }, NOW_S + 10);
    expect(await store.oauth.consume('AuthorizationCode', 'c', NOW_S + 1)).toBe(false);
    expect(await store.oauth.consume('AuthorizationCode', 'none', NOW_S)).toBe(false);
  });

  test('a row is found by its uid within its model', async () => {
    const { oauth } = current().store;
    await oauth.upsert('Session', 's', { uid: 'u-1' }, NOW_S + 10);
    expect(await oauth.findByUid('Session', 'u-1', NOW_S)).toEqual({ id: 's', payload: { uid: 'u-1' } });
    expect(await oauth.findByUid('Session', 'u-1', NOW_S + 10)).toBeUndefined();
    expect(await oauth.findByUid('Interaction', 'u-1', NOW_S)).toBeUndefined();
  });

  test('a row is taken by its uid once, whoever asks at the same time, as it was written last', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await store.oauth.upsert('Pending', 'p', { uid: 'u-2', of: 'older' }, NOW_S + 10);
    await store.oauth.upsert('Pending', 'p', { uid: 'u-3', of: 'newer' }, NOW_S + 10);
    await store.oauth.upsert('Pending', 'q', { uid: 'u-4' }, NOW_S - 10);
    expect(await other.oauth.takeByUid('Pending', 'u-2')).toBeUndefined();
    expect(await other.oauth.takeByUid('Session', 'u-3')).toBeUndefined();
    const taken = await Promise.all(
      Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? store : other).oauth.takeByUid('Pending', 'u-3')),
    );
    expect(taken.filter((row) => row !== undefined)).toEqual([{ id: 'p', payload: { uid: 'u-3', of: 'newer' } }]);
    expect(await store.oauth.find('Pending', 'p', NOW_S)).toBeUndefined();
    expect(await store.oauth.takeByUid('Pending', 'u-4')).toEqual({ id: 'q', payload: { uid: 'u-4' } });
  });

  test('rows are destroyed one by one, by grant and by expiry', async () => {
    const { oauth } = current().store;
    await oauth.upsert('RefreshToken', 'one', {}, NOW_S + 10);
    await oauth.upsert('RefreshToken', 'two', { grantId: 'g' }, NOW_S + 10);
    await oauth.upsert('RefreshToken', 'three', { grantId: 'h' }, NOW_S + 20);
    await oauth.upsert('AccessToken', 'four', { grantId: 'g' }, undefined);
    const left = async () => {
      const rows = [
        ['RefreshToken', 'one'],
        ['RefreshToken', 'two'],
        ['RefreshToken', 'three'],
        ['AccessToken', 'four'],
      ] as const;
      const found = await Promise.all(rows.map(([model, id]) => oauth.find(model, id, 0)));
      return rows.filter((_, n) => found[n] !== undefined).map(([, id]) => id);
    };
    await oauth.revokeByGrantId('RefreshToken', 'g');
    expect(await left()).toEqual(['one', 'three', 'four']);
    await oauth.destroy('RefreshToken', 'none');
    await oauth.destroy('AccessToken', 'one');
    expect(await left()).toEqual(['one', 'three', 'four']);
    expect(await oauth.removeExpired(NOW_S + 10)).toBe(1);
    expect(await left()).toEqual(['three', 'four']);
    await oauth.destroy('RefreshToken', 'three');
    expect(await left()).toEqual(['four']);
  });
}
