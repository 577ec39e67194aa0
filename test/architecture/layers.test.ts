import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * Imports point down (docs/design/layers.md). A layer may import those listed for it, and itself. Adapters import their seams and
 * domain only; `compose` alone knows them.
 */
const FEATURES = [
  'tasks',
  'policy',
  'leases',
  'approvals',
  'revocation',
  'audit',
  'inventory',
  'secrets',
  'telemetry',
  'flow',
  'risk',
  'nodes',
];
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  seams: ['domain'],
  config: ['domain'],
  tasks: ['seams', 'domain'],
  policy: ['seams', 'domain'],
  leases: ['seams', 'domain'],
  approvals: ['seams', 'domain'],
  revocation: ['seams', 'domain'],
  audit: ['seams', 'domain'],
  inventory: ['seams', 'domain'],
  secrets: ['seams', 'domain'],
  telemetry: ['seams', 'domain'],
  flow: ['seams', 'domain'],
  risk: ['seams', 'domain'],
  nodes: ['seams', 'domain'],
  adapters: ['seams', 'domain'],
  gateway: [...FEATURES, 'seams', 'domain'],
  agent: ['domain'],
  http: ['gateway', ...FEATURES, 'seams', 'domain'],
  compose: ['http', 'gateway', 'adapters', 'config', 'agent', ...FEATURES, 'seams', 'domain'],
  cli: ['compose', 'agent', 'config', ...FEATURES, 'seams', 'domain'],
  main: ['cli', 'domain'],
};
/** What may read the clock, randomness, the environment and the network itself. */
const IMPURE_ALLOWED = new Set(['compose', 'cli', 'main', 'agent', 'adapters']);

interface Source {
  readonly path: string;
  readonly layer: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const root = resolve(import.meta.dirname, '../../src');

function sources(): Source[] {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name));
  return files.map((name) => {
    const text = readFileSync(join(root, name), 'utf8');
    return {
      path: name,
      layer: name.includes('/') ? (name.split('/')[0] as string) : name.replace(/\.ts$/, ''),
      text,
      imports: [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] as string),
    };
  });
}

/** Folder of an import's target under `src`, or the package name. */
function targetOf(source: Source, specifier: string): { layer: string; folder: string } | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = relative(root, resolve(root, dirname(source.path), specifier));
  const parts = target.split('/');
  return {
    layer: parts.length > 1 ? (parts[0] as string) : target.replace(/\.ts$/, ''),
    folder: parts.slice(0, 2).join('/'),
  };
}

const all = sources();

describe('layers', () => {
  it('sees the whole tree', () => {
    expect(all.length).toBeGreaterThan(80);
    expect(all.flatMap((source) => source.imports.filter((name) => name.startsWith('.'))).length).toBeGreaterThan(200);
    const layers = new Set(all.map((source) => source.layer));
    expect([...layers].sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });

  it('imports point down', () => {
    const wrong = all.flatMap((source) =>
      source.imports.flatMap((specifier) => {
        const target = targetOf(source, specifier);
        if (target === undefined || target.layer === source.layer) return [];
        return MAY_IMPORT[source.layer]?.includes(target.layer)
          ? []
          : [`${source.path} imports ${target.layer} (${specifier})`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('adapters of one kind do not import those of another, but for how clouds and PostgreSQL are talked to', () => {
    const wrong = all
      .filter((source) => source.layer === 'adapters')
      .flatMap((source) =>
        source.imports.flatMap((specifier) => {
          const target = targetOf(source, specifier);
          const own = source.path.split('/').slice(0, 2).join('/');
          const isForeign =
            target?.layer === 'adapters' && ![own, 'adapters/clouds', 'adapters/postgres'].includes(target.folder);
          return isForeign ? [`${source.path} imports ${specifier}`] : [];
        }),
      );
    expect(wrong).toEqual([]);
  });

  it('domain and seams import no package', () => {
    const wrong = all
      .filter((source) => source.layer === 'domain' || source.layer === 'seams')
      .flatMap((source) =>
        source.imports
          .filter((name) => !name.startsWith('.') && name !== 'node:util')
          .map((name) => `${source.path}: ${name}`),
      );
    expect(wrong).toEqual([]);
  });

  it('time, randomness, the environment and the network are injected', () => {
    const impure =
      /\bDate\.now\(|\bMath\.random\(|\bprocess\.env\b|(?<![.\w])fetch\(|\brandomBytes\(|\bnew Date\(\)|(?<![.\w])set(Timeout|Interval)\(/;
    const wrong = all
      .filter((source) => !IMPURE_ALLOWED.has(source.layer))
      .flatMap((source) =>
        source.text
          .split('\n')
          .map((line, index) => ({ line, at: `${source.path}:${index + 1}` }))
          .filter(({ line }) => impure.test(line) && !/^\s*(\*|\/\/)/.test(line) && !line.includes('// impure:'))
          .map(({ at }) => at),
      );
    expect(wrong).toEqual([]);
  });

  it('there are no barrels, default exports or enums', () => {
    const wrong = all.filter(
      (source) =>
        /(^|\/)index\.ts$/.test(source.path) || /^export default|^export \* from|^(export )?enum /m.test(source.text),
    );
    expect(wrong.map((source) => source.path)).toEqual([]);
  });

  it('no file is a hall: 400 lines at most', () => {
    expect(all.filter((source) => source.text.split('\n').length > 400).map((source) => source.path)).toEqual([]);
  });
});

describe('guarantees', () => {
  it.each(['D1', 'D2', 'D3', 'D4', 'L1', 'L2', 'L3', 'L6', 'A1', 'A2', 'A5', 'A6', 'D5', 'I1'])(
    '%s is named by a test',
    (guarantee) => {
      const folder = resolve(import.meta.dirname, '..');
      const named = readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts') && !name.startsWith('architecture'))
        .some((name) =>
          new RegExp(`(it|test|describe)(\\.each\\([^]*?\\))?\\(\\s*['"\`]${guarantee} `).test(
            readFileSync(join(folder, name), 'utf8'),
          ),
        );
      expect(named).toBe(true);
    },
  );
});
