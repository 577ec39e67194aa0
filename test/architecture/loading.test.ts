import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, it } from 'vitest';

/**
 * What a command loads before it does anything: a process for each command line, so that every module counts. What is large is imported where it is used. Type-only imports load nothing;
 * one of types alone in braces (`{ type A }`) does, for the compiler keeps it.
 */
const ROOT = resolve('src');
const IMPORT = /^(?:import|export)\s(?!type\s)[^;]*?from '([^']+)';|^import '([^']+)';/gm;

const known = new Map<string, readonly string[]>();
function importsOf(file: string): readonly string[] {
  const found =
    known.get(file) ?? [...readFileSync(file, 'utf8').matchAll(IMPORT)].map(([, a, b]) => (a ?? b) as string);
  known.set(file, found);
  return found;
}

/** Everything that is loaded with a file: packages by their names, files of ours below `src`. */
function loadedWith(file: string): ReadonlySet<string> {
  const seen = new Set<string>([relative(ROOT, file)]);
  const next = [file];
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    for (const specifier of importsOf(at)) {
      const name = specifier.startsWith('.') ? relative(ROOT, resolve(dirname(at), specifier)) : specifier;
      if (seen.has(name)) continue;
      seen.add(name);
      if (specifier.startsWith('.')) next.push(join(ROOT, name));
    }
  }
  return seen;
}

const commands = readdirSync(join(ROOT, 'cli/commands')).filter((name) => name.endsWith('.ts'));
const loaded = new Map(commands.map((name) => [name, loadedWith(join(ROOT, 'cli/commands', name))]));
const loading = (what: string): string[] => commands.filter((name) => loaded.get(name)?.has(what)).sort();

it('sees what is loaded', () => {
  expect(commands.length).toBeGreaterThan(40);
  expect(loading('commander').length).toBeGreaterThan(0);
  expect(loading('cli/output.ts').length).toBeGreaterThan(20);
  expect(loadedWith(join(ROOT, 'compose/start-gateway.ts')).size).toBeGreaterThan(400);
  expect(loadedWith(join(ROOT, 'adapters/store/open-sqlite.ts'))).toContain('kysely');
});

it('no command waits for a database, nor for all of a gateway, before it needs one', () => {
  for (const what of ['kysely', 'pg', 'adapters/store/open-sqlite.ts', 'compose/start-gateway.ts', 'oidc-provider'])
    expect(loading(what), what).toEqual([]);
});

it('few wait for an HTTP client', () => {
  expect(loading('undici')).toEqual([
    'connect.ts',
    'doctor.ts',
    'findings.ts',
    'lease.ts',
    'policy-simulate.ts',
    'policy.ts',
  ]);
});
