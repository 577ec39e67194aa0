import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Cedar's wasm can abort Node 20's optimiser when JS→wasm calls are inlined (V8 11.3): keep them out of line.
    execArgv: ['--no-turbo-inline-js-wasm-calls'],
    pool: 'forks',
    maxWorkers: 2,
  },
});
