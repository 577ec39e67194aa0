import { chown, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureVaultKey } from '../../src/compose/credentials/vault-key.ts';
import { orderAlone } from '../../src/compose/revocation/order-revocation.ts';
import { createSystem } from '../../src/compose/system.ts';
import { createJournalAccess } from '../../src/compose/trail/journal-access.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';

let folder: string;
/** Takes connections and says nothing. */
let hole: Server;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-by-hand-'));
  hole = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((listening) => hole.listen(0, '127.0.0.1', listening));
});
afterAll(async () => {
  hole.close();
  await rm(folder, { recursive: true, force: true });
});

it('an order without a gateway is on the trail and made, whatever does not answer that checkpoints are published to', async () => {
  const far = `http://127.0.0.1:${(hole.address() as AddressInfo).port}`;
  const config = join(folder, 'remit.yaml');
  await mkdir(join(folder, 'policies'));
  await writeFile(
    config,
    `version: 1
journal:
  publish: { url: "${far}/newest" }
  ship: { s3: { endpoint: "${far}", bucket: trail, accessKeyId: a, secretAccessKey: trail-bucket } }
agents: { scribe: { owner: dana@shop.example, publicKeys: scribe.jwks.json } }
`,
  );
  const workspace = await openWorkspace(config, createSystem({ log: 'silent' }));
  try {
    await ensureVaultKey(workspace.loaded);
    const begun = performance.now();
    const subject = { kind: 'agent', id: 'scribe' } as const;
    const report = await orderAlone(workspace, { action: 'revoke', subject, reason: 'it was talked into something' });
    // What is published to is waited for five seconds and ten, twice each.
    expect(performance.now() - begun).toBeLessThan(4_000);
    expect(report).toMatchObject({ position: 1, subject: 'agent scribe' });
    const verified = await createJournalAccess(workspace.places.journal).verify({
      key: undefined,
      anchorFile: undefined,
    });
    expect(verified).toMatchObject({ ok: true, size: 1 });
  } finally {
    await workspace.close();
  }
});

it.runIf(process.getuid?.() === 0)(
  'what root writes while the gateway is stopped is the data folder’s owner’s: its gateway goes on with it',
  async () => {
    const home = join(folder, 'served');
    const data = join(home, '.remit');
    await mkdir(join(home, 'policies'), { recursive: true });
    await mkdir(data, { mode: 0o700 });
    await chown(data, 12_345, 12_345);
    const config = join(home, 'remit.yaml');
    await writeFile(
      config,
      'version: 1\nagents: { scribe: { owner: dana@shop.example, publicKeys: scribe.jwks.json } }\n',
    );
    const workspace = await openWorkspace(config, createSystem({ log: 'silent' }));
    try {
      await ensureVaultKey(workspace.loaded);
      const subject = { kind: 'agent', id: 'scribe' } as const;
      await orderAlone(workspace, { action: 'suspend', subject, reason: 'test' });
    } finally {
      await workspace.close();
    }
    const { journal } = workspace.places;
    const made = [journal, ...(await readdir(journal)).map((name) => join(journal, name))];
    const owners = await Promise.all(made.map(async (path) => (await stat(path)).uid));
    expect(made.length).toBeGreaterThan(3);
    expect(new Set(owners)).toEqual(new Set([12_345]));
  },
);
