import { AsyncLocalStorage } from 'node:async_hooks';

type OidcLibrary = typeof import('oidc-provider');

const RUNTIME_NOTICE = 'oidc-provider WARNING: Unsupported runtime';

/**
 * Loads `oidc-provider` without its notice that it is developed for Node 22 and later. Remit supports Node 20.20, whose
 * runtime has every API that the library calls, and the suite runs there; on a person's terminal the line would read as
 * a fault of theirs. Only that one line is held back, and only while the library loads.
 *
 * @returns the library, whether it gave the notice (for the log), and the storage in which it keeps the request under way
 */
export async function loadOidcLibrary(): Promise<{
  library: OidcLibrary;
  isRuntimeUntested: boolean;
  storage: AsyncLocalStorage<unknown> | undefined;
}> {
  const { warn } = console;
  let isRuntimeUntested = false;
  const filtered = (...line: unknown[]): void => {
    if (String(line[0]).includes(RUNTIME_NOTICE)) isRuntimeUntested = true;
    else warn.apply(console, line);
  };
  console.warn = filtered;
  try {
    const library = await import('oidc-provider');
    return { library, isRuntimeUntested, storage: await findStorage() };
  } finally {
    if (console.warn === filtered) console.warn = warn;
  }
}

/** A file of the library's own, which another version may not have: then nothing but speed is lost. */
async function findStorage(): Promise<AsyncLocalStorage<unknown> | undefined> {
  // In a variable, because the file has no types.
  const file = 'oidc-provider/lib/helpers/als.js';
  const loaded = (await import(file).catch(() => undefined)) as { default?: unknown } | undefined;
  return loaded?.default instanceof AsyncLocalStorage ? loaded.default : undefined;
}
