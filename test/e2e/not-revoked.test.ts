import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LeaseView } from '../../src/leases/lease-view.ts';
import { endAll, run, runJson, startUp, type Up } from '../cli/remit.ts';
import { type FakeBearerServer, startFakeBearerServer } from '../support/fake-bearer-server.ts';
import { type FakeOauthServer, startFakeOauthServer } from '../support/fake-oauth-server.ts';
import {
  callUnder,
  type Estate,
  exceptionFor,
  findPort,
  makeEstate,
  recordsOf,
  takeTask,
} from '../support/whole-gateway.ts';

/** A whole gateway whose connector’s authorization server refuses revocations: what people are told meanwhile, and what is true there. */
let oauth: FakeOauthServer;
let notes: FakeBearerServer;
let plain: FakeBearerServer;
let estate: Estate;
let gateway: Up;
beforeAll(async () => {
  oauth = await startFakeOauthServer();
  notes = await startFakeBearerServer('notes', async (token) => {
    if (!oauth.admits(token)) throw new Error('no');
  });
  plain = await startFakeBearerServer('plain', async () => {});
  const TOOLS =
    '{ look: { class: read, approvedBy: dana@shop.example }, tell: { class: read, approvedBy: dana@shop.example } }';
  estate = await makeEstate({
    port: await findPort(),
    secrets: {
      notes_client: 'canary-by-hand-secret-5512',
      notes_refresh: oauth.mintRefreshToken('notes.read notes.write'),
      plain_key: `up_${randomBytes(20).toString('hex')}`,
    },
    yaml: () => `connectors:
  notes:
    owner: dana@shop.example
    transport: { http: { url: "${notes.url}" } }
    credential:
      ttlSeconds: 60
      oauthRefresh: { server: "${oauth.issuer}", clientId: by-hand, clientSecret: notes_client, refreshToken: notes_refresh, scopes: { read: [notes.read], write: [notes.read, notes.write] }, introspected: true }
    tools: ${TOOLS}
  plain:
    owner: dana@shop.example
    transport: { http: { url: "${plain.url}" } }
    credential: { static: { secret: plain_key, exception: ${exceptionFor('look', 'tell')} } }
    tools: ${TOOLS}
templates:
  work: { owner: dana@shop.example, purpose: look, agents: [scribe], classes: [read], tools: [notes/look, plain/look] }
`,
  });
  gateway = await startUp(estate.config);
});
afterAll(async () => {
  await endAll();
  await Promise.all([oauth?.close(), notes?.close(), plain?.close()]);
});

const at = () => ['--config', estate.config];
const remit = (...args: string[]) => run([...args, ...at()]);
const told = async (...args: string[]) => {
  const { code, stdout } = await remit(...args);
  return { code, stdout };
};
const leaseOf = async (task: string, connector: string): Promise<LeaseView> => {
  const views = await runJson<LeaseView[]>(['lease', 'ls', '--all', '--task', task, ...at()]);
  return views.find((view) => view.connector === connector) ?? expect.unreachable();
};

it('L7 no order that is given, and given again, says that a credential is gone which is good at its server', async () => {
  const work = await takeTask(estate, 'work');
  await callUnder(gateway, work, 'notes__look', { id: '7' });
  const token = notes.calls.at(-1)?.token ?? expect.unreachable();
  oauth.misdeeds.refuseRevocation = true;
  const left = expect.stringContaining('1 credentials still being revoked');
  const kill = ['kill', '--task', work.task, '--reason', 'it was talked into something'];
  expect(await told('task', 'end', work.task)).toEqual({ code: 9, stdout: left });
  expect(await told('task', 'end', work.task)).toEqual({ code: 9, stdout: left });
  expect(await told(...kill)).toEqual({ code: 9, stdout: left });
  const { id } = await leaseOf(work.task, 'notes');
  const why = expect.stringContaining('not revoked yet, and is tried on: ERR_CREDENTIAL_REVOKE');
  expect(await told('lease', 'revoke', id)).toEqual({ code: 9, stdout: why });
  expect(await told('reap')).toEqual({ code: 9, stdout: expect.stringContaining('1 not revoked') });
  const found = await told('doctor');
  expect(found).toEqual({
    code: 1,
    stdout: expect.stringContaining(`may still be good although they were to be revoked: ${id} of notes, since`),
  });
  await gateway.stop();
  expect((await told('reap', '--all')).code).toBe(9);
  expect((await told('reap')).code).toBe(9);
  expect(oauth.admits(token)).toBe(true);
  gateway = await startUp(estate.config);
  expect((await told(...kill)).code).toBe(9);
  oauth.misdeeds.refuseRevocation = false;
  expect((await told(...kill)).code).toBe(0);
  expect(oauth.admits(token)).toBe(false);
  expect(await leaseOf(work.task, 'notes')).toMatchObject({ state: 'ended' });
  expect((await told('doctor')).stdout).toContain('no revocation of a credential has failed');
});

it('what waits for its next attempt is tried at once by an order that is given again', async () => {
  const work = await takeTask(estate, 'work');
  await callUnder(gateway, work, 'notes__look', { id: '7' });
  const token = notes.calls.at(-1)?.token ?? expect.unreachable();
  oauth.misdeeds.refuseRevocation = true;
  expect((await told('task', 'end', work.task)).code).toBe(9);
  oauth.misdeeds.refuseRevocation = false;
  const { code } = await told('task', 'end', work.task);
  expect(code).toBe(0);
  expect(oauth.admits(token)).toBe(false);
});

it('L7 a lease whose connector was taken out while nothing ran lapses where nobody could revoke it', async () => {
  const work = await takeTask(estate, 'work');
  await callUnder(gateway, work, 'plain__look', { id: '7' });
  gateway.child.kill('SIGKILL');
  await gateway.exited;
  const text = await readFile(estate.config, 'utf8');
  const without = text.replace(/ {2}plain:[\s\S]*?templates/, 'templates').replace(', plain/look', '');
  await writeFile(estate.config, without);
  gateway = await startUp(estate.config);
  const lapsing = await leaseOf(work.task, 'plain');
  expect(lapsing).toMatchObject({ state: 'lapsing', revocation: 'expiry_only' });
  expect(lapsing.lastError).toBeUndefined();
  const [last] = (await recordsOf(estate, 'revocation')).filter(({ task }) => task === work.task);
  expect(last?.detail).toMatchObject({ outcome: 'lapsing', lapsesAt: 'never' });
});
