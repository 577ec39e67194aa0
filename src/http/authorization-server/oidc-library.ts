type OidcLibrary = typeof import('oidc-provider');

const RUNTIME_NOTICE = 'oidc-provider WARNING: Unsupported runtime';

/**
 * Loads `oidc-provider` without its notice that it is developed for Node 22 and later. Remit supports Node 20.20, whose
 * runtime has every API that the library calls, and the suite runs there; on a person's terminal the line would read as
 * a fault of theirs. Only that one line is held back, and only while the library loads.
 *
 * @returns the library, and whether it gave the notice (for the log)
 */
export async function loadOidcLibrary(): Promise<{ library: OidcLibrary; isRuntimeUntested: boolean }> {
  const { warn } = console;
  let isRuntimeUntested = false;
  const filtered = (...line: unknown[]): void => {
    if (String(line[0]).includes(RUNTIME_NOTICE)) isRuntimeUntested = true;
    else warn.apply(console, line);
  };
  console.warn = filtered;
  try {
    return { library: await import('oidc-provider'), isRuntimeUntested };
  } finally {
    if (console.warn === filtered) console.warn = warn;
  }
}
