import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import type { ConnectorTokens } from '../../src/compose/credentials/connector-tokens.ts';
import { makeIssuer } from '../../src/compose/credentials/make-issuer.ts';
import type { EstateConnector } from '../../src/compose/estate.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { configSchema } from '../../src/config/schema.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const root = resolve(import.meta.dirname, '../..');

/** `docs/how-to/write-an-issuer.md`, block by block, as a reader would put it into a folder. */
describe('an issuer of one’s own', () => {
  let folder: string;
  const blocks: Record<string, string> = {};

  beforeAll(async () => {
    const page = await readFile(join(root, 'docs/how-to/write-an-issuer.md'), 'utf8');
    const [issuer = '', suite = ''] = [...page.matchAll(/```js\n(.*?)```/gs)].map(([, text = '']) => text);
    const [, configuration = ''] = /```yaml\n(.*?)```/s.exec(page) ?? [];
    Object.assign(blocks, { issuer, suite, configuration });
    folder = await mkdtemp(join(tmpdir(), 'remit-own-issuer-'));
    await mkdir(join(folder, 'node_modules'));
    await symlink(root, join(folder, 'node_modules/remit'));
    await symlink(join(root, 'node_modules/vitest'), join(folder, 'node_modules/vitest'));
    await writeFile(join(folder, 'issuer.test.mjs'), suite);
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** Runs the suite on an issuer, in a process of its own. */
  async function runSuite(issuer: string): Promise<{ isPassed: boolean; passed: number; failed: string[] }> {
    await writeFile(join(folder, 'issuer.mjs'), issuer);
    const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder, '--reporter=json'];
    const { code, text } = await new Promise<{ code: unknown; text: string }>((done) => {
      execFile(process.execPath, args, { cwd: folder, timeout: 100_000 }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : error.code, text: stdout.includes('{') ? stdout : `${stdout}${stderr}` }),
      );
    });
    type Report = { numPassedTests: number; testResults: { assertionResults: { status: string; title: string }[] }[] };
    const report = JSON.parse(text.slice(text.indexOf('{'))) as Report;
    const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = tests.filter(({ status }) => status === 'failed').map(({ title }) => title);
    return { isPassed: code === 0, passed: report.numPassedTests, failed };
  }

  it('passes the published suite as the page has it', async () => {
    const { isPassed, passed, failed } = await runSuite(blocks.issuer ?? '');
    expect(failed).toEqual([]);
    expect(isPassed).toBe(true);
    expect(passed).toBeGreaterThanOrEqual(13);
  });

  it('has types for who writes it in TypeScript', async () => {
    const project = join(folder, 'typed');
    const remit = join(project, 'node_modules/remit');
    await mkdir(remit, { recursive: true });
    await mkdir(join(project, 'node_modules/@types'));
    await symlink(join(root, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'));
    await symlink(join(root, 'package.json'), join(remit, 'package.json'));
    const compile = (...args: string[]): Promise<string> =>
      new Promise((done) => {
        const tsc = join(root, 'node_modules/typescript/bin/tsc');
        execFile(process.execPath, [tsc, ...args], { cwd: root, timeout: 100_000 }, (_, stdout) => done(stdout));
      });
    expect(await compile('-p', 'tsconfig.types.json', '--outDir', join(remit, 'dist'))).toBe('');
    await writeFile(join(project, 'package.json'), '{ "type": "module" }');
    const compilerOptions = { strict: true, module: 'nodenext', target: 'es2023', noEmit: true, types: ['node'] };
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['issuer.ts'] }));
    const write = (revocation: string) =>
      writeFile(
        join(project, 'issuer.ts'),
        `import { type CreateIssuer, issuerSuite, parts } from 'remit/issuer-suite';
const createIssuer: CreateIssuer = ({ settings, secret, Secret }) => ({
  kind: 'keyshop', downstream: String(settings.url), minTtlSeconds: 0, revocation: '${revocation}',
  async issue({ tag, expiresAt }) {
    const token = new Secret(tag + (await secret())?.reveal());
    return { fields: { token }, scope: 'all', nativeExpiresAt: expiresAt };
  },
  async revoke() {},
  async close() {},
});
export const made = [createIssuer(parts({ settings: {} })), issuerSuite];
`,
      );
    await write('next_use');
    expect(await compile('-p', project)).toBe('');
    await write('surely');
    expect(await compile('-p', project)).toContain('"surely"');
  });

  it.each([
    [
      'says that it revoked and did nothing',
      "const answer = await ask('DELETE'",
      "return;\n      const answer = await ask('DELETE'",
      'L7 ends what it claims to end',
    ],
    [
      'takes "not found" for a fault',
      ' || answer?.status === 404',
      '',
      'L4 takes "not found" as success: a lease that was never issued',
    ],
    [
      'gives keys that outlive their lease',
      'endsAt: expiresAt }',
      'endsAt: expiresAt + 3_600_000 }',
      'L3 gives no credential that outlives its lease, or says that the downstream never ends it',
    ],
    [
      'shows its secret',
      'no key was made: ',
      ['no key was made: $', '{(await secret())?.reveal()} '].join(''),
      'L6 shows no secret: not in what it gives, not in what it throws',
    ],
  ])('that %s does not pass', async (_, text, instead, title) => {
    expect(blocks.issuer).toContain(text);
    const wrong = (blocks.issuer ?? '')
      .replace(text, instead)
      .replace('!(endsAt <= expiresAt && endsAt > clock())', 'false');
    const { isPassed, failed } = await runSuite(wrong);
    expect(isPassed).toBe(false);
    expect(failed).toContain(title);
  });

  describe('in a configuration', () => {
    const keys = new Map<string, string>();
    let server: Server;
    let issuer: Issuer | undefined;

    beforeAll(async () => {
      await writeFile(join(folder, 'issuer.mjs'), blocks.issuer ?? '');
      server = createServer((request, response) => {
        const name = request.url ?? '';
        if (request.headers.authorization !== 'Bearer canary-keyshop') return void response.writeHead(401).end();
        if (request.method === 'DELETE') return void response.writeHead(keys.delete(name) ? 204 : 404).end();
        request.setEncoding('utf8').once('data', (text: string) => {
          keys.set(name, randomBytes(8).toString('hex'));
          response.end(JSON.stringify({ ...(JSON.parse(text) as object), key: keys.get(name) }));
        });
      });
      await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
    });
    afterAll(async () => {
      await issuer?.close();
      await new Promise((closed) => server.close(closed));
    });

    const workspace = () =>
      ({
        loaded: { path: join(folder, 'remit.yaml'), resolvePath: (path: string) => resolve(folder, path) },
        vault: { get: async (name: string) => new Secret(name === 'keyshop-admin' ? 'canary-keyshop' : '') },
        system: { clock: Date.now, random: randomBytes },
      }) as unknown as Workspace;

    async function make(change: object = {}): Promise<Issuer> {
      const { connectors } = configSchema.parse({ version: 1, ...(parse(blocks.configuration ?? '') as object) });
      const credential = connectors.orders?.credential;
      if (credential?.package === undefined) return expect.unreachable('the page shows no package');
      const own = {
        ...credential.package,
        settings: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
        ...change,
      };
      const connector = { id: 'orders' } as EstateConnector;
      return (await makeIssuer(workspace(), {} as ConnectorTokens, connector, { ...credential, package: own })).issuer;
    }

    it('leases with the secret that it is given', async () => {
      issuer = await make();
      const lease = newLease(issuer);
      const request = {
        ...requestFor(lease, AbortSignal.timeout(5_000)),
        resources: ['1'],
        actionClasses: ['read'] as const,
      };
      const { fields, scope } = await issuer.issue(request);
      expect([fields.token?.reveal(), scope]).toEqual([keys.get(`/keys/${lease.tag}`), 'read on 1']);
      await issuer.revoke(lease, undefined);
      expect(keys.size).toBe(0);
    });

    it.each([
      ['there is no such file', './none.mjs', undefined, 'cannot be loaded'],
      ['there is no such package', '@shop/none', undefined, 'cannot be loaded'],
      ['it makes nothing', './empty.mjs', 'export const other = 1;', 'has no createIssuer'],
      [
        'it makes something else',
        './other.mjs',
        'export const createIssuer = () => ({ kind: "other" });',
        'does not name its downstream',
      ],
      [
        'it claims what there is not',
        './claim.mjs',
        'export const createIssuer = () => ({ kind: "c", downstream: "d", minTtlSeconds: 0, revocation: "surely" });',
        'what a revoke is worth',
      ],
    ])('stops the start where %s', async (_, module, text, told) => {
      if (text !== undefined) await writeFile(join(folder, module), text);
      await expect(make({ module })).rejects.toMatchObject({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining(told),
        where: 'connectors.orders.credential.package',
      });
    });
  });
});
