import { describe, expect, it } from 'vitest';
import type { Approver } from '../../src/domain/approval.ts';
import { tenantId } from '../../src/domain/ids.ts';
import { createApproverSessions } from '../../src/http/approvals/approver-sessions.ts';
import { createBrowserValues } from '../../src/http/approvals/browser-values.ts';
import { createMemoryOAuth } from '../support/fake-memory-repositories.ts';

/** Sign-ins of approvers at several nodes: they have the store's rows and its sealed key in common, and nothing else. */
const FAY: Approver = {
  id: 'https://idp.example#fay',
  groups: ['https://idp.example#leads'],
  names: [],
  via: 'sign-in',
};
const KEY = Buffer.alloc(32, 7);

function world() {
  const time = { now: 1_800_000_000_000 };
  const repository = createMemoryOAuth();
  let byte = 0;
  const join = (stateKey = KEY, tenant = 'acme') =>
    createBrowserValues({
      tenant: tenantId(tenant),
      repository,
      stateKey,
      clock: () => time.now,
      random: (size) => new Uint8Array(size).fill(++byte),
    });
  return { time, repository, join };
}

describe('an approver’s sign-in', () => {
  it('is good at every node, with the same forms, and ends at every node', async () => {
    const { join } = world();
    const [here, there] = [createApproverSessions(join()), createApproverSessions(join())];
    const cookie = await here.begin(FAY);
    const session = await there.find(cookie);
    expect(session?.approver).toEqual(FAY);
    expect((await here.find(cookie))?.csrf).toBe(session?.csrf);
    expect((await here.find(await here.begin(FAY)))?.csrf).not.toBe(session?.csrf);
    await there.end(cookie);
    expect(await here.find(cookie)).toBeUndefined();
    expect(await there.find(cookie)).toBeUndefined();
  });

  it('by a link happens once, at whichever node, and at one of those that are asked at once', async () => {
    const { join } = world();
    const nodes = [0, 1, 2].map(() => createApproverSessions(join()));
    const code = (await nodes[0]?.newCode(FAY)) as string;
    const taken = await Promise.all(nodes.map((node) => node.takeCode(code)));
    expect(taken.filter((one) => one !== undefined)).toEqual([FAY]);
    expect(await nodes[1]?.takeCode(code)).toBeUndefined();
  });

  it('a code is no session, a session no code, and each has its time', async () => {
    const { join, time } = world();
    const sessions = createApproverSessions(join());
    const [code, cookie] = [await sessions.newCode(FAY), await sessions.begin(FAY)];
    expect(await sessions.find(code)).toBeUndefined();
    expect(await sessions.takeCode(cookie)).toBeUndefined();
    time.now += 600_000;
    expect(await sessions.takeCode(code)).toBeUndefined();
    expect(await sessions.find(cookie)).toBeDefined();
    time.now += 3_000_000;
    expect(await sessions.find(cookie)).toBeUndefined();
    expect(await sessions.find(undefined)).toBeUndefined();
    expect(await sessions.find('x'.repeat(10_000))).toBeUndefined();
  });

  it('A6 nothing that somebody writes into the store, without the vault’s key, makes an approver', async () => {
    const { join, repository } = world();
    const forger = createApproverSessions(join(Buffer.alloc(32, 8)));
    const sessions = createApproverSessions(join());
    const forged = await forger.begin({ ...FAY, id: 'os:root' });
    expect(await forger.find(forged)).toBeDefined();
    expect(await sessions.find(forged), 'another key').toBeUndefined();
    expect(await createApproverSessions(join(KEY, 'rival')).find(await sessions.begin(FAY)), 'I1').toBeUndefined();
    const cookie = await sessions.begin(FAY);
    const others = await sessions.begin({ ...FAY, id: 'os:mal' });
    const [own, theirs] = [...repository.rows.values()].slice(-2).map(({ payload }) => payload);
    Object.assign(own ?? {}, theirs);
    expect(await sessions.find(cookie), 'another row’s text').toBeUndefined();
    expect(await sessions.find(others)).toBeDefined();
    const text = JSON.stringify([...repository.rows]);
    expect(text).not.toContain('fay');
    for (const secret of [cookie, others, forged]) expect(text).not.toContain(secret);
  });

  it('D1 nobody is signed in whom the store cannot tell of', async () => {
    const { join, repository } = world();
    const sessions = createApproverSessions(join());
    const cookie = await sessions.begin(FAY);
    repository.find = () => Promise.reject(new Error('gone'));
    await expect(sessions.find(cookie)).rejects.toThrow('gone');
    await expect(sessions.takeCode(cookie)).rejects.toThrow('gone');
  });
});

describe('what a browser carries to another node', () => {
  const begun = { verifier: 'v', state: 's', nonce: 'n', next: '/approvals' };

  it('is opened there, as it was, in time, and is the first once', async () => {
    const { join, time } = world();
    const [here, there] = [join(), join()];
    const text = here.seal(begun, 1_000);
    expect(there.open(text)).toEqual(begun);
    expect(await Promise.all([there.isFirst(text, 1_000), here.isFirst(text, 1_000)])).toEqual([true, false]);
    time.now += 1_000;
    expect(there.open(text)).toBeUndefined();
  });

  it('tells nothing, and cannot be changed or made up', async () => {
    const { join, repository } = world();
    const values = join();
    const text = values.seal(begun, 1_000);
    expect(Buffer.from(text, 'base64url').toString('latin1')).not.toContain('nonce');
    for (let at = 0; at < text.length; at += 1) {
      const other = text[at] === 'A' ? 'B' : 'A';
      expect(values.open(text.slice(0, at) + other + text.slice(at + 1))).toBeUndefined();
    }
    for (const nothing of ['', 'x', `${text}=`, 'A'.repeat(5_000)]) expect(values.open(nothing)).toBeUndefined();
    expect(join(Buffer.alloc(32, 8)).open(text)).toBeUndefined();
    await values.keep('approver_session', begun, 1_000);
    const kept = JSON.parse(JSON.stringify([...repository.rows.values()][0])) as { payload: { sealed: string } };
    expect(values.open(kept.payload.sealed), 'what is kept is not what is carried').toBeUndefined();
  });
});
