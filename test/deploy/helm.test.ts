import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { parseConfig } from '../../src/config/load-config.ts';

/**
 * The chart beside the manifests, which `kubernetes.test.ts` holds against the product. Helm itself is asked by `npm run services`; here, the templates use so little of its language
 * that a few lines render them, and anything else fails.
 */
const CHART = 'deploy/helm/remit';
const MANIFESTS = 'deploy/kubernetes';

type Values = Record<string, unknown>;
const read = (name: string): Values => parse(readFileSync(join(CHART, name), 'utf8')) as Values;
const own = read('values.yaml');
/** With the policies that the manifests hold: the chart has none, since Helm would add an estate's to them. */
const values = { ...own, ...read('ci/example-values.yaml') };
const templates = readdirSync(join(CHART, 'templates')).sort();

/**
 * `{{ .Values.a.b }}`, `| quote`, and `{{- toYaml .Values.a | nindent 4 }}` or without `toYaml`, alone on its line; `{{- with .Values.a }}` around lines with `toYaml .`; and the one checksum.
 */
function render(text: string, given: Values): string {
  const look = (path: string): unknown => {
    const found = path.split('.').reduce<unknown>((at, name) => (at as Values | undefined)?.[name], given);
    if (found === undefined) throw new Error(`no value ${path}`);
    return found;
  };
  const template = text
    .replace(/\n *\{\{- with \.Values\.(\w+) \}\}([\s\S]*?)\n *\{\{- end \}\}/g, (_, path: string, body: string) =>
      Object.keys(look(path) as object).length === 0 ? '' : body.replaceAll('toYaml .', `toYaml .Values.${path}`),
    )
    .replace('{{ print .Values.config (toJson .Values.files) | sha256sum }}', '0'.repeat(64));
  const blocks = template.replace(
    /[^\S\n]*\n[^\S\n]*\{\{- (toYaml )?\.Values\.([\w.]+) \| nindent (\d+) \}\}/g,
    (_, isYaml: string | undefined, path: string, depth: string) => {
      const text = isYaml === undefined ? String(look(path)) : stringify(look(path));
      return `\n${text.trimEnd().replace(/^(?!$)/gm, ' '.repeat(Number(depth)))}`;
    },
  );
  const whole = blocks.replace(/\{\{ \.Values\.([\w.]+)( \| quote)? \}\}/g, (_, path: string, isQuoted?: string) =>
    isQuoted === undefined ? String(look(path)) : JSON.stringify(String(look(path))),
  );
  if (whole.includes('{{')) throw new Error(`what is not known here: ${/\{\{.*/.exec(whole)?.[0]}`);
  return whole;
}

const documents = (text: string, name: string): unknown[] =>
  parseAllDocuments(text).map((document) => {
    expect(document.errors, name).toEqual([]);
    return document.toJS() as unknown;
  });
const rendered = (name: string, given: Values = values): unknown[] =>
  documents(render(readFileSync(join(CHART, 'templates', name), 'utf8'), given), name);
// biome-ignore lint/suspicious/noExplicitAny: what a manifest holds is looked at by each test
const setOf = (given: Values): any => rendered('statefulset.yaml', given)[0];

describe('chart', () => {
  it('gives with its own values what the manifests are, but for the image', () => {
    const files = readdirSync(MANIFESTS).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml');
    expect(templates).toEqual(files.sort());
    const [kustomization] = documents(readFileSync(join(MANIFESTS, 'kustomization.yaml'), 'utf8'), 'kustomization') as {
      images: { newName: string; newTag: string }[];
    }[];
    const [image] = kustomization?.images ?? [];
    for (const name of templates) {
      const plain = documents(readFileSync(join(MANIFESTS, name), 'utf8'), name);
      const made = rendered(name);
      if (name === 'statefulset.yaml') {
        // biome-ignore lint/suspicious/noExplicitAny: see above
        const [ours, theirs] = [plain[0] as any, made[0] as any];
        ours.spec.template.spec.containers[0].image = `${image?.newName}:${image?.newTag}`;
        // What replaces the pods when remit.yaml changes: by hand with manifests.
        expect(Object.keys(theirs.spec.template.metadata.annotations)).toEqual(['checksum/config']);
        delete theirs.spec.template.metadata.annotations;
      }
      expect(made, name).toEqual(plain);
    }
  });

  it('takes replicas, image, secret, resources and storage from its values', () => {
    const given = {
      ...values,
      replicas: 5,
      image: 'registry.example.com/remit@sha256:0123',
      storage: '100Gi',
      secret: { name: 'vault', storeUrlKey: 'dsn', vaultKeyKey: 'kek' },
      resources: { limits: { memory: '2Gi' } },
    };
    const { spec } = setOf(given);
    expect(spec.replicas).toBe(5);
    const [container] = spec.template.spec.containers;
    expect(container.image).toBe(given.image);
    expect(container.resources).toEqual(given.resources);
    expect(JSON.stringify(container.env)).toContain('{"secretKeyRef":{"name":"vault","key":"dsn"}}');
    const volumes = spec.template.spec.volumes as { name: string; secret?: object }[];
    expect(volumes.find(({ name }) => name === 'vault-key')?.secret).toMatchObject({
      secretName: 'vault',
      items: [{ key: 'kek', path: 'vault.key' }],
    });
    expect(spec.volumeClaimTemplates[0].spec.resources.requests.storage).toBe('100Gi');
  });

  it('puts files beside remit.yaml, where there are any', () => {
    const data = (given: Values): object => (rendered('configmap.yaml', given)[0] as { data: object }).data;
    expect(Object.keys(data(values))).toEqual(['remit.yaml']);
    expect(data({ ...values, files: { 'a.jwks.json': '{\n}\n' } })).toEqual({
      'remit.yaml': values.config,
      'a.jwks.json': '{\n}\n',
    });
  });

  it('D1 has no policies of its own, and its schema wants some; it knows each value and no other', () => {
    expect(own.policies).toEqual({});
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'));
    expect(schema.properties.policies.minProperties).toBe(1);
    expect(schema.additionalProperties).toBe(false);
    expect([...schema.required].sort()).toEqual(Object.keys(own).sort());
    expect(Object.keys(schema.properties).sort()).toEqual([...Object.keys(own), 'global'].sort());
  });

  it('its values hold a valid configuration, and no secret', () => {
    expect(parseConfig(values.config as string, 'remit.yaml').store.kind).toBe('postgres');
    expect(JSON.stringify(values)).not.toMatch(/postgres:\/\//);
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as { version: string; appVersion: string };
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(chart).toMatchObject({ apiVersion: 'v2', name: 'remit', version, appVersion: version });
  });

  it('fails on what a template uses and the values have not', () => {
    expect(() => render('a: {{ .Values.none }}', values)).toThrow('no value none');
    expect(() => render('{{ if .Values.image }}', values)).toThrow('not known here');
  });
});
