import { configDefaults, defineConfig } from 'vitest/config';

/**
 * Folders whose tests start no process, listen on no fixed port and change nothing that another file could see: their files share a process, and load what they test once. A test that
 * sets the environment, a global or a mock of a module belongs elsewhere.
 */
const TOGETHER = [
  'approvals',
  'config',
  'domain',
  'explain',
  'flow',
  'gateway',
  'inventory',
  'leases',
  'revocation',
  'risk',
  'tasks',
].map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    // For what hangs: nothing is held to them.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What is waited for comes sooner or later: a machine that is busy elsewhere is no fault of it.
    expect: { poll: { timeout: 15_000 } },
    // Cedar's wasm can abort Node 20's optimiser when JS→wasm calls are inlined (V8 11.3): keep them out of line.
    execArgv: ['--no-turbo-inline-js-wasm-calls'],
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'apart',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...TOGETHER],
        },
      },
      { extends: true, test: { name: 'together', include: TOGETHER, isolate: false } },
    ],
  },
});
