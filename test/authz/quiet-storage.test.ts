import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it, vi } from 'vitest';
import { loadOidcLibrary } from '../../src/http/authorization-server/oidc-library.ts';
import { quietStorage } from '../../src/http/authorization-server/quiet-storage.ts';
import { startFixture } from './authorization-fixture.ts';

/** Up to Node 22 a storage that is in use hooks into every promise; later ones do without hooks. */
const hasHooks = Number(process.versions.node.split('.')[0]) < 24;

describe('the storage of the authorization server', () => {
  it('is switched off when the last of several requests is over, however they end, and not before', async () => {
    const storage = new AsyncLocalStorage<string>();
    const disable = vi.spyOn(storage, 'disable');
    const watch = quietStorage(storage);
    const finishes: (() => void)[] = [];
    const seen: (string | undefined)[] = [];
    for (const name of ['a', 'b', 'c']) {
      const handling = storage.run(name, async () => {
        await new Promise<void>((resolve) => finishes.push(resolve));
        seen.push(storage.getStore());
        if (name === 'b') throw new Error('broken off');
      });
      watch(handling);
      handling.catch(() => {});
    }
    finishes[1]?.();
    finishes[0]?.();
    await new Promise(setImmediate);
    expect(disable).not.toHaveBeenCalled();
    finishes[2]?.();
    await new Promise(setImmediate);
    expect(seen).toEqual(['b', 'a', 'c']);
    expect(disable).toHaveBeenCalledTimes(1);
    // Used again, it works again.
    watch(storage.run('d', async () => seen.push(storage.getStore())));
    await new Promise(setImmediate);
    expect(seen.at(-1)).toBe('d');
    expect(disable).toHaveBeenCalledTimes(2);
  });

  it('is the one that oidc-provider uses, and is off between token requests', async () => {
    const { storage } = await loadOidcLibrary();
    if (storage === undefined) throw new Error('oidc-provider keeps its storage elsewhere now');
    const run = vi.spyOn(storage, 'run');
    const disable = vi.spyOn(storage, 'disable');
    const fixture = await startFixture();
    try {
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => fixture.declare({ template: 'triage', purpose: 'Order 7' })),
      );
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      expect(run.mock.calls.length).toBeGreaterThanOrEqual(5);
      await vi.waitFor(() => expect(disable.mock.calls.length).toBeGreaterThanOrEqual(1));
      expect(storage.getStore()).toBeUndefined();
      if (hasHooks) expect((storage as unknown as { enabled: boolean }).enabled).toBe(false);
      // And on again for the next.
      expect((await fixture.declare({ template: 'triage', purpose: 'Order 7' })).status).toBe(200);
    } finally {
      await fixture.close();
    }
  });
});
