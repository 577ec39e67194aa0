import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RadosGateway, type S3Key, startRadosGateway } from '../harness/radosgw.ts';
import { createS3Archive, type S3Place } from '../src/adapters/archive/s3-archive.ts';
import { type AwsIssuerOptions, createAwsIssuer } from '../src/adapters/issuers/aws-issuer.ts';
import { createGuardedFetch, type GuardedFetch } from '../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../src/domain/secret.ts';
import type { ActionClass } from '../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../src/seams/issuer.ts';
import { endAll, type Home, makeHome, run, runJson, runToFail, startUp, until } from '../test/cli/remit.ts';
import { issuerSuite, newLease, requestFor } from '../test/suites/issuer-suite.ts';
import { REPORT_STATEMENTS } from '../test/support/report-statements.ts';
import { recordsOf } from '../test/support/whole-gateway.ts';
import { measureIssuer } from './measure.ts';
import { askS3, downloadBucket, type S3Caller } from './s3-client.ts';

/** Buckets, `owner`'s: `trail` is shipped to, `reports` is what the role opens. */
let ceph: RadosGateway;
let owner: S3Key;
let remit: S3Key;
let role: string;
let otherRole: string;

beforeAll(async () => {
  ceph = await startRadosGateway();
  owner = await ceph.addUser('owner');
  remit = await ceph.addUser('remit');
  const all = { Effect: 'Allow', Action: ['s3:Get*', 's3:Put*', 's3:ListAllMyBuckets'], Resource: '*' };
  role = await ceph.addRole('reports', 'remit', all);
  otherRole = await ceph.addRole('others', 'owner', all);
  for (const bucket of ['trail', 'reports']) expect(await as(owner, 'PUT', `/${bucket}`)).toBe(200);
  for (const key of ['2026/may.csv', '2025/may.csv', 'a%3Fc', 'abc']) {
    expect(await as(owner, 'PUT', `/reports/${key}`, key)).toBe(200);
  }
});
afterAll(() => ceph?.stop());

const as = async (caller: S3Caller, method: string, path: string, body?: string): Promise<number> =>
  (await askS3(ceph.url, caller, method, path, body)).status;

describe('an archive in a bucket of Ceph’s', () => {
  const NEVER = new AbortController().signal;
  const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
  let guarded: GuardedFetch;
  beforeAll(() => {
    guarded = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  });
  afterAll(() => guarded.close());

  const archiveWith = (more: Partial<S3Place> & { secret?: string } = {}) =>
    createS3Archive({
      endpoint: ceph.url,
      bucket: 'trail',
      prefix: 'by hand/a+b',
      region: 'us-east-1',
      credentials: async () => ({
        accessKeyId: owner.accessKeyId,
        secretAccessKey: new Secret(more.secret ?? owner.secretAccessKey),
      }),
      fetch: guarded.fetch,
      clock: Date.now,
      ...more,
    });

  it('A3 keeps bytes whole, knows them again, and never writes over what is there', async () => {
    const archive = archiveWith();
    expect(await archive.keep('log/00000000.log', BYTES, NEVER)).toBe('kept');
    expect(await archive.keep('log/00000000.log', BYTES, NEVER)).toBe('there');
    await expect(archive.keep('log/00000000.log', Buffer.from('else'), NEVER)).rejects.toThrow('something else');
    expect(await archive.keep('empty', Buffer.alloc(0), NEVER)).toBe('kept');
    const kept = await downloadBucket(ceph.url, owner, 'trail');
    expect(kept.get('by hand/a+b/log/00000000.log')?.equals(BYTES)).toBe(true);
    await archive.replace('newest', Buffer.from('one'), NEVER);
    await archive.replace('newest', Buffer.from('two'), NEVER);
    expect((await archive.read('newest', NEVER))?.toString()).toBe('two');
    expect(await archive.read('nothing', NEVER)).toBeUndefined();
  });

  it('A3 of writers who come at once one is taken, and its bytes stay', async () => {
    const archive = archiveWith();
    for (let round = 0; round < 10; round += 1) {
      const tried = await Promise.allSettled(
        [1, 2, 3].map((fill) => archive.keep(`race/${round}`, Buffer.alloc(5_000_000, fill), NEVER)),
      );
      const { bytes } = await askS3(ceph.url, owner, 'GET', `/trail/by%20hand/a%2Bb/race/${round}`);
      expect(tried.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      tried.forEach((one, index) => {
        if (one.status === 'fulfilled') expect(bytes[0], `round ${round}`).toBe(index + 1);
        else expect(String(one.reason)).toContain('something else under that name');
      });
    }
  });

  it.each([
    ['another secret', { secret: 'wrong' }, '403 AccessDenied'],
    ['a clock that is off', { clock: () => Date.now() - 3_600_000 }, '403 RequestTimeTooSkewed'],
    ['no such bucket', { bucket: 'nowhere' }, '404 NoSuchBucket'],
  ] as const)('tells what is wrong in the server’s word: %s', async (_, more, word) => {
    const archive = archiveWith(more);
    const fault = { code: 'ERR_ARCHIVE', message: `the archive answered ${word}` };
    await expect(archive.keep('x', BYTES, NEVER)).rejects.toMatchObject(fault);
    await expect(archive.replace('x', BYTES, NEVER)).rejects.toMatchObject(fault);
    await expect(archive.read('x', NEVER)).rejects.toMatchObject(fault);
    expect(await archiveWith().read('x', NEVER)).toBeUndefined();
  });

  it('bytes that were changed on the way are not taken', async () => {
    const changed: S3Place['fetch'] = (url, init) =>
      guarded.fetch(url, init.method === 'PUT' ? { ...init, body: new Blob(['2']).stream() } : init);
    const put = archiveWith({ fetch: changed }).keep('changed', Buffer.from('1'), NEVER);
    await expect(put).rejects.toThrow('400 XAmzContentSHA256Mismatch');
    expect(await archiveWith().read('changed', NEVER)).toBeUndefined();
  });
});

describe('a trail that is shipped to a bucket of Ceph’s', () => {
  let home: Home;
  /** In front of Ceph; while it holds, what comes with this text goes no further, and is not answered. */
  const line = { holds: undefined as string | undefined, held: 0 };
  const proxy = createServer((client) => {
    const { hostname, port } = new URL(ceph.url);
    const server = connect(Number(port), hostname);
    for (const socket of [client, server]) socket.on('error', () => {});
    client.on('data', (bytes) => {
      if (line.holds !== undefined && bytes.includes(line.holds)) line.held += 1;
      else if (line.held === 0) server.write(bytes);
    });
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
    server.pipe(client);
  });

  beforeAll(async () => {
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    home = await makeHome();
    const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const key = `accessKeyId: ${owner.accessKeyId}, secretAccessKey: trail-bucket`;
    const place = `endpoint: ${JSON.stringify(endpoint)}, bucket: trail, region: us-east-1, prefix: remit, ${key}`;
    await writeFile(home.config, `journal: { ship: { s3: { ${place} } } }\n`, { flag: 'a' });
    await run(['secret', 'init', '--config', home.config]);
    const put = ['secret', 'put', 'trail-bucket', '--config', home.config];
    const kept = await run(put, { input: owner.secretAccessKey });
    expect(kept.code, kept.stderr).toBe(0);
  });
  afterAll(async () => {
    await endAll();
    proxy.close();
  });

  const rotate = () => run(['audit', 'rotate', '--config', home.config]);
  const shipped = () => recordsOf(home as never, 'segment_shipped');

  async function download(): Promise<string> {
    const to = join(home.folder, 'downloaded');
    for (const [key, bytes] of await downloadBucket(ceph.url, owner, 'trail')) {
      if (!key.startsWith('remit/')) continue;
      await mkdir(dirname(join(to, key)), { recursive: true });
      await writeFile(join(to, key), bytes);
    }
    return to;
  }

  it('A4 goes on after kill −9 where it was, ships nothing twice, and what is downloaded verifies with nothing else', {
    timeout: 240_000,
  }, async () => {
    let gateway = await startUp(home.config);
    await rotate();
    await until(async () => (await shipped()).length >= 1, 'the first segment is shipped', 60_000);
    line.holds = '.checkpoints HTTP';
    await rotate();
    await until(() => line.held > 0, 'the second one is under way');
    gateway.child.kill('SIGKILL');
    await gateway.exited;
    const before = (await shipped()).length;
    Object.assign(line, { holds: undefined, held: 0 });
    gateway = await startUp(home.config);
    await until(async () => (await shipped()).length > before, 'it goes on', 60_000);
    expect(await gateway.stop()).toBe(0);
    expect(gateway.stderr()).not.toContain(owner.secretAccessKey);
    const records = await shipped();
    expect(records.map(({ detail }) => detail.segment)).toEqual(records.map((_, index) => index));
    // By the server's own log: of each object one PUT was taken, and one that came again was refused.
    const puts = async () => (await ceph.answered()).filter((one) => /^PUT \/trail\/remit\/.*[0-9]{8}\.\w+ /.test(one));
    const taken = await until(async () => {
      const found = (await puts()).filter((one) => one.endsWith(' 200'));
      return found.length >= records.length * 2 && found;
    }, 'the log has them');
    expect(new Set(taken).size).toBe(taken.length);
    const again = (await puts()).find((one) => one.endsWith(' 412'));
    expect(taken).toContain(again?.replace(/412$/, '200'));

    const folder = await download();
    const keys = [...(await downloadBucket(ceph.url, owner, 'trail')).keys()];
    const newest = keys.find((key) => key.endsWith('/newest.checkpoint')) as string;
    const verified = await runJson<{ ok: boolean; size: number; isPart: boolean }>([
      ...['audit', 'verify', '--folder', folder, '--anchor', join(folder, newest)],
    ]);
    expect(verified).toMatchObject({ ok: true, isPart: true, size: records.at(-1)?.detail.end });
    const both = await run(['audit', 'verify', '--folder', folder, '--folder', join(home.folder, '.remit', 'journal')]);
    expect(both.code, both.stderr).toBe(0);
    await writeFile(join(folder, dirname(newest), '00000000.log'), Buffer.alloc(8192));
    expect(await runToFail(['audit', 'verify', '--folder', folder])).toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
  });
});

function optionsFor(more: Partial<AwsIssuerOptions> = {}): AwsIssuerOptions {
  const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  return {
    endpoint: ceph.url,
    region: 'us-east-1',
    credentials: async () => ({ accessKeyId: remit.accessKeyId, secretAccessKey: new Secret(remit.secretAccessKey) }),
    roleArn: role,
    externalId: 'shop',
    statements: REPORT_STATEMENTS,
    tagsSessions: true,
    fetch,
    clock: Date.now,
    close,
    ...more,
  };
}

function callerOf({ fields }: Pick<IssuedCredential, 'fields'>): Required<S3Caller> {
  const part = (name: string): string => fields[name]?.reveal() ?? '';
  return {
    accessKeyId: part('accessKeyId'),
    secretAccessKey: part('secretAccessKey'),
    sessionToken: part('sessionToken'),
  };
}

issuerSuite('aws, against Ceph', async () => {
  const wrong = 'canary-wrong-key';
  const credentials = async () => ({ accessKeyId: remit.accessKeyId, secretAccessKey: new Secret(wrong) });
  return {
    issuer: createAwsIssuer(optionsFor()),
    other: () => createAwsIssuer(optionsFor()),
    clock: Date.now,
    resources: ['2026/*'],
    actionClasses: ['read'],
    canUse: async (fields) => (await as(callerOf({ fields }), 'GET', '/reports/2026/may.csv')) === 200,
    exists: undefined,
    broken: [
      createAwsIssuer(optionsFor({ credentials })),
      createAwsIssuer(optionsFor({ endpoint: 'http://127.0.0.1:9' })),
      createAwsIssuer(optionsFor({ roleArn: 'arn:aws:iam:::role/unknown' })),
      createAwsIssuer(optionsFor({ roleArn: otherRole })),
      createAwsIssuer(optionsFor({ clock: () => Date.now() - 3_600_000 })),
    ],
    secrets: [remit.secretAccessKey, wrong],
    stop: async () => {},
  };
});

describe('a session of a role of Ceph’s', () => {
  const issuers: Issuer[] = [];
  afterAll(() => Promise.all(issuers.map((issuer) => issuer.close())));

  async function issue(resources: string[], actionClasses: ActionClass[], more: Partial<AwsIssuerOptions> = {}) {
    const issuer = createAwsIssuer(optionsFor(more));
    issuers.push(issuer);
    const lease = newLease(issuer);
    const request = { ...requestFor(lease, AbortSignal.timeout(10_000)), resources, actionClasses };
    return { issuer, lease, issued: await issuer.issue(request) };
  }

  it('opens what the task names and its classes do, and is denied everything else that the role may', async () => {
    const { issued } = await issue(['2026/*', 'out/june.csv'], ['read', 'write']);
    const caller = callerOf(issued);
    expect(await as(caller, 'GET', '/reports/2026/may.csv')).toBe(200);
    expect(await as(caller, 'PUT', '/reports/out/june.csv', 'x')).toBe(200);
    for (const [method, key] of [
      ['GET', 'reports/2025/may.csv'],
      ['PUT', 'reports/2026/may.csv'],
      ['PUT', 'reports/out/july.csv'],
      ['DELETE', 'reports/out/june.csv'],
      ['GET', 'trail/anything'],
    ] as const) {
      expect(await as(caller, method, `/${key}`, method === 'PUT' ? 'x' : undefined), `${method} ${key}`).toBe(403);
    }
    // Not the session's parts alone, and not another's.
    const { accessKeyId, secretAccessKey, sessionToken } = caller;
    expect(await as({ accessKeyId, secretAccessKey }, 'GET', '/reports/2026/may.csv')).toBe(403);
    expect(await as({ ...remit, sessionToken }, 'GET', '/reports/2026/may.csv')).toBe(403);
  });

  it('opens nothing unnamed', async () => {
    const named = await issue([], ['read']);
    expect(await as(callerOf(named.issued), 'GET', '/reports/2026/may.csv')).toBe(403);
    const bare = await issue([], []);
    expect(await as(callerOf(bare.issued), 'GET', '/reports/2026/may.csv')).toBe(403);
  });

  it('takes ? of a resource for no wildcard; Ceph, which does not know it escaped, opens nothing by it', async () => {
    const { issued } = await issue(['a?c'], ['read']);
    for (const key of ['abc', 'a%3Fc']) {
      expect(await as(owner, 'GET', `/reports/${key}`)).toBe(200);
      expect(await as(callerOf(issued), 'GET', `/reports/${key}`), key).toBe(403);
    }
  });

  it('has tags that Ceph takes and does not hear', async () => {
    const Condition = { StringEquals: { 'aws:PrincipalTag/remit:connector': 'suite' } };
    const byTag = { Effect: 'Allow', Action: 's3:*', Resource: '*' };
    for (const [name, policy, status] of [
      ['all', byTag, 200],
      ['tagged', { ...byTag, Condition }, 403],
    ] as const) {
      const { issued } = await issue(['2026/*'], ['read'], { roleArn: await ceph.addRole(name, 'remit', policy) });
      expect(await as(callerOf(issued), 'GET', '/reports/2026/may.csv'), name).toBe(status);
    }
  });

  it('L7 goes on after a revoke, and has the end that was asked for', async () => {
    const { issuer, lease, issued } = await issue(['2026/*'], ['read']);
    expect([issuer.revocation, issuer.minTtlSeconds]).toEqual(['expiry_only', 900]);
    const left = (issued.nativeExpiresAt ?? 0) - Date.now();
    expect(left).toBeGreaterThan(880_000);
    expect(left).toBeLessThan(902_000);
    await issuer.revoke(lease, undefined);
    expect(await as(callerOf(issued), 'GET', '/reports/2026/may.csv')).toBe(200);
  });

  it('says what the server has against it', async () => {
    await expect(issue([], ['read'], { roleArn: 'arn:aws:iam:::role/unknown' })).rejects.toThrow('404 NoSuchEntity');
    await expect(issue([], ['read'], { roleArn: otherRole })).rejects.toThrow('403 AccessDenied');
    const issuer = createAwsIssuer(optionsFor());
    issuers.push(issuer);
    const request = { ...requestFor(newLease(issuer), AbortSignal.timeout(5_000)), actionClasses: ['read'] as const };
    await expect(issuer.issue({ ...request, expiresAt: Date.now() + 7_200_000 })).rejects.toThrow('400');
  });

  it('costs what is measured', async () => {
    const issuer = createAwsIssuer(optionsFor());
    issuers.push(issuer);
    const cost = await measureIssuer('radosgw', issuer, { resources: ['2026/*'], actionClasses: ['read'] }, 50);
    expect(cost.issue).toBeLessThan(500);
  });
});
