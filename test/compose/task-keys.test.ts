import { randomBytes } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { describe, expect, it } from 'vitest';
import { type Auditor, isWrapped, unwrapForAuditor } from '../../src/audit/auditor-keys.ts';
import { openContent } from '../../src/audit/seal-content.ts';
import { createTaskKeys, taskKeyRecord } from '../../src/compose/trail/task-keys.ts';
import { taskId, tenantId } from '../../src/domain/ids.ts';
import type { TaskKeyRepository } from '../../src/seams/store.ts';
import type { Vault } from '../../src/secrets/vault.ts';

const TENANT = tenantId('default');
const TASK = taskId('tsk_a');

async function makeAuditor(name: string): Promise<{ auditor: Auditor; privateKey: JWK }> {
  const pair = await generateKeyPair('ECDH-ES+A256KW', { crv: 'P-256', extractable: true });
  const jwk = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  return { auditor: { name, publicKey: { ...jwk, kid } }, privateKey: { ...(await exportJWK(pair.privateKey)), kid } };
}

/** Rows that a test can look into, under a vault that says whom it sealed for: its own cipher is the vault's tests' business. */
function world(auditors: readonly Auditor[]) {
  const rows = new Map<string, Buffer>();
  const repository: TaskKeyRepository = {
    insert: async ({ task, envelope }) => void rows.set(task, envelope),
    get: async (_, task) => {
      const envelope = rows.get(task);
      return envelope === undefined ? undefined : { keyId: 'k', envelope };
    },
    erase: async (_, task) => rows.delete(task),
  };
  const vault = {
    seal: async (record: string, bytes: Uint8Array) => ({
      keyId: 'k',
      envelope: Buffer.concat([Buffer.from(`${record}|`), bytes]),
    }),
    open: async (record: string, { envelope }: { envelope: Buffer }) => envelope.subarray(record.length + 1),
  } as unknown as Vault;
  const start = () =>
    createTaskKeys({ tenant: TENANT, repository, vault, random: randomBytes, clock: () => 0, auditors });
  const stored = (name: string): Buffer => (rows.get(name) as Buffer).subarray(taskKeyRecord(name).length + 1);
  return { rows, start, stored };
}

describe('content keys', () => {
  it('A5 are for the vault alone where no auditor is named', async () => {
    const { start, stored } = world([]);
    const keys = start();
    await keys.create(TASK);
    const sealed = keys.seal(TASK, 'hello');
    expect(isWrapped(stored(TASK))).toBe(false);
    expect(openContent(sealed, { task: TASK, span: 's' }, { name: TASK, bytes: stored(TASK) })).toBe('hello');
  });

  it('A5 are for each auditor, and for nobody else, where some are named', async () => {
    const carol = await makeAuditor('carol');
    const dave = await makeAuditor('dave');
    const mallory = await makeAuditor('mallory');
    const { start, stored } = world([carol.auditor, dave.auditor]);
    const keys = start();
    await keys.create(TASK);
    const sealed = keys.seal(TASK, 'hello');
    for (const { privateKey } of [carol, dave]) {
      const bytes = await unwrapForAuditor(stored(TASK), sealed.key, privateKey);
      expect(openContent(sealed, { task: TASK, span: 's' }, { name: sealed.key, bytes })).toBe('hello');
    }
    await expect(unwrapForAuditor(stored(TASK), TASK, mallory.privateKey)).rejects.toMatchObject({
      code: 'ERR_AUDITOR_KEY',
      message: expect.stringContaining('carol, dave'),
    });
    // Another's private key under the right name, and the right key for another row.
    const forged = { ...mallory.privateKey, kid: carol.privateKey.kid as string };
    await expect(unwrapForAuditor(stored(TASK), TASK, forged)).rejects.toMatchObject({ code: 'ERR_AUDITOR_KEY' });
    await expect(unwrapForAuditor(stored(TASK), 'tsk_b', carol.privateKey)).rejects.toMatchObject({
      code: 'ERR_AUDITOR_KEY',
    });
  });

  it('A5 of a task that goes on after a restart: a new one, and what was sealed before stays readable to the auditor only', async () => {
    const carol = await makeAuditor('carol');
    const { start, stored, rows } = world([carol.auditor]);
    const first = start();
    await first.create(TASK);
    const before = first.seal(TASK, 'before');
    for (const name of ['tsk_a.1', 'tsk_a.2']) {
      const next = start();
      await next.load(TASK);
      const after = next.seal(TASK, 'after');
      expect(after.key).toBe(name);
      const bytes = await unwrapForAuditor(stored(name), name, carol.privateKey);
      expect(openContent(after, { task: TASK, span: 's' }, { name, bytes })).toBe('after');
    }
    const bytes = await unwrapForAuditor(stored(TASK), TASK, carol.privateKey);
    expect(openContent(before, { task: TASK, span: 's' }, { name: TASK, bytes })).toBe('before');
    expect([...rows.keys()]).toEqual(['tsk_a', 'tsk_a.1', 'tsk_a.2']);
  });
});
