import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { findHelm, type Helm } from '../harness/helm.ts';
import { run } from '../harness/install.ts';

/** The chart by Helm's own engine beside the manifests by kustomize, and both beside the API that they are for. What `test/deploy` reads, these programs make. */
const CHART = resolve('deploy/helm/remit');
const EXAMPLE = join(CHART, 'ci', 'example-values.yaml');

// biome-ignore lint/suspicious/noExplicitAny: what a manifest holds is looked at by each test
type Manifest = any;

let tools: Helm;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-helm-'));
  tools = await findHelm(folder);
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const documents = (text: string): Manifest[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest)
    .filter((manifest) => manifest !== null);

async function template(values: object = {}, chart = CHART): Promise<Manifest[]> {
  const file = join(folder, 'values.yaml');
  await writeFile(file, stringify(values));
  const { stdout } = await tools.helm(['template', 'remit', chart, '-n', 'remit', '-f', EXAMPLE, '-f', file]);
  return documents(stdout);
}
const kustomized = async (): Promise<Manifest[]> =>
  documents((await tools.kubectl(['kustomize', 'deploy/kubernetes'])).stdout);

const find = (manifests: readonly Manifest[], kind: string, name = 'remit'): Manifest =>
  manifests.find((one) => one.kind === kind && one.metadata.name === name);
const checksumOf = (manifests: readonly Manifest[]): string =>
  find(manifests, 'StatefulSet').spec.template.metadata.annotations['checksum/config'];

/** By kind and name, without what the two say differently: the namespace, which is the release's, and what replaces the pods. */
const comparable = (manifests: readonly Manifest[]): Record<string, Manifest> =>
  Object.fromEntries(
    structuredClone(manifests).map((one: Manifest) => {
      delete one.metadata.namespace;
      if (one.kind === 'StatefulSet') delete one.spec.template.metadata.annotations;
      return [`${one.kind} ${one.metadata.name}`, one];
    }),
  );

const OWN = {
  image: `registry.example.com:5000/remit:1@sha256:${'ab'.repeat(32)}`,
  replicas: 5,
  maxUnavailable: '40%',
  resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { memory: '2Gi', cpu: '1500m' } },
  storage: '100Gi',
  ingressNamespace: 'front',
  secret: { name: 'vault', storeUrlKey: 'dsn', vaultKeyKey: 'kek' },
  config: '# ours\nversion: 1\ndata: {{ not a template }}\n\n\nagents: {}',
  files: { 'scribe.jwks.json': '{\n  "keys": []\n}\n', 'helper.jwks.json': '{"keys":[]}' },
  policies: { 'forbids.cedar': '@id("none")\nforbid (principal, action, resource);\n' },
};

describe('the chart by Helm', () => {
  it('gives what kustomize makes of the manifests', async () => {
    const made = comparable(await template());
    expect(Object.keys(made).length).toBe(7);
    expect(made).toEqual(comparable(await kustomized()));
  });

  it('takes every value, and none of its own into files and policies', async () => {
    const made = await template(OWN);
    const { spec } = find(made, 'StatefulSet');
    const [container] = spec.template.spec.containers;
    expect(spec.replicas).toBe(5);
    expect(container.image).toBe(OWN.image);
    expect(container.resources).toEqual(OWN.resources);
    expect(container.env).toContainEqual({
      name: 'REMIT_STORE',
      valueFrom: { secretKeyRef: { name: 'vault', key: 'dsn' } },
    });
    expect(spec.template.spec.volumes).toContainEqual({
      name: 'vault-key',
      secret: { secretName: 'vault', items: [{ key: 'kek', path: 'vault.key' }], defaultMode: 0o400 },
    });
    expect(spec.volumeClaimTemplates[0].spec.resources.requests.storage).toBe('100Gi');
    expect(find(made, 'PodDisruptionBudget').spec.maxUnavailable).toBe('40%');
    expect(JSON.stringify(find(made, 'NetworkPolicy'))).toContain('{"kubernetes.io/metadata.name":"front"}');
    expect(find(made, 'ConfigMap').data).toEqual({ 'remit.yaml': `${OWN.config}\n`, ...OWN.files });
    expect(Object.keys(find(made, 'ConfigMap', 'remit-policies').data)).toEqual([
      'forbids.cedar',
      // The example's, for Helm adds maps together: why the chart itself has none.
      'within-the-task.cedar',
    ]);
  });

  it('replaces the pods when remit.yaml or a file beside it changes, and not for policies, which nodes reload', async () => {
    const first = checksumOf(await template(OWN));
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(checksumOf(await template({ ...OWN, config: `${OWN.config}\n# more` }))).not.toBe(first);
    expect(checksumOf(await template({ ...OWN, files: { 'scribe.jwks.json': '{}' } }))).not.toBe(first);
    expect(checksumOf(await template({ ...OWN, policies: { 'other.cedar': '' } }))).toBe(first);
  });

  it('is the same out of a package, and lint finds nothing', async () => {
    const { stdout } = await tools.helm(['lint', '--strict', '-f', EXAMPLE, CHART]);
    expect(stdout).toContain('0 chart(s) failed');
    await tools.helm(['package', CHART, '-d', folder]);
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await template(OWN, join(folder, `remit-${version}.tgz`))).toEqual(await template(OWN));
  });

  it.each<[string, string]>([
    ['replicas=two', '/replicas'],
    ['replicas=0', '/replicas'],
    ['replicas=null', "missing property 'replicas'"],
    ['replica=5', "additional properties 'replica'"],
    ['image=registry.example.com/remit', '/image'],
    ['image=registry.example.com:5000/remit', '/image'],
    ['maxUnavailable=0', '/maxUnavailable'],
    ['resources.limit.memory=1Gi', "additional properties 'limit'"],
    ['storage=20GB', '/storage'],
    ['ingressNamespace=Front', '/ingressNamespace'],
    ['secret.name=', '/secret/name'],
    ['secret.key=x', "additional properties 'key'"],
    ['config.version=1', '/config'],
    ['files.a/b=x', 'a/b'],
    ['files.remit\\.yaml=x', 'propertyName'],
    ['policies.notes\\.txt=x', 'notes.txt'],
    ['policies=null', "missing property 'policies'"],
  ])('refuses %s', async (given, told) => {
    const { code, stderr } = await tools.helm(['template', 'r', CHART, '-f', EXAMPLE, '--set', given], true);
    expect(code).toBe(1);
    expect(stderr).toContain(told);
  });

  it('D1 has no policies of its own: an install that names none is refused', async () => {
    const { code, stderr } = await tools.helm(['template', 'r', CHART], true);
    expect(code).toBe(1);
    expect(stderr).toContain("'/policies': minProperties: got 0, want 1");
  });
});

describe('the API of Kubernetes', () => {
  const schemaOf = ({ apiVersion, kind }: Manifest): string => `kubernetes-models/${apiVersion}/${kind}`;

  /** Each field is known and of its type, by the API's types as TypeScript; and its patterns hold, by their validators. @returns what is wrong */
  async function complaints(manifests: readonly Manifest[]): Promise<string> {
    const lines = manifests.map(
      (one, index) =>
        `import type { I${one.kind} as T${index} } from '${schemaOf(one)}';\nexport const m${index}: T${index} = ${JSON.stringify(one)};`,
    );
    const file = join(tools.models, '..', 'manifests.ts');
    await writeFile(file, lines.join('\n'));
    const tsc = resolve('node_modules/typescript/bin/tsc');
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig'];
    const kinds = ['--module', 'nodenext', '--moduleResolution', 'nodenext', '--target', 'es2023', '--types', ''];
    const { stdout } = await run(process.execPath, [tsc, ...options, ...kinds, file], {
      anyCode: true,
      timeoutMs: 120_000,
    });
    const found = [stdout];
    for (const one of manifests) {
      const path = join(tools.models, `${schemaOf(one)}.js`);
      const module = (await import(pathToFileURL(path).href)) as Record<string, new (data: object) => Validated>;
      const Model = module[one.kind];
      if (Model === undefined) throw new Error(`no ${one.kind}`);
      try {
        new Model(one).validate();
      } catch (error) {
        found.push(`${one.kind}: ${String(error)}`);
      }
    }
    return found.join('\n').trim();
  }
  interface Validated {
    validate(): void;
  }

  it('knows every field of the manifests and of the chart', async () => {
    expect(await complaints(await kustomized())).toBe('');
    expect(await complaints([...(await template()), ...(await template(OWN))])).toBe('');
  });

  it('would have told what it does not know', async () => {
    const made = await template();
    const { spec } = find(made, 'StatefulSet');
    spec.template.spec.containers[0].readinesProbe = {};
    find(made, 'PodDisruptionBudget').spec.maxUnavailable = [1];
    const told = await complaints(made);
    expect(told).toContain('readinesProbe');
    expect(told).toContain('maxUnavailable');
  });
});
