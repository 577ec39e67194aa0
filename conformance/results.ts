import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** What the suite says of one check. Its own scores count SUCCESS and FAILURE only; a WARNING is a SHOULD that is not kept. */
export type CheckStatus = 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO' | 'SKIPPED';

export interface Check {
  readonly id: string;
  readonly status: CheckStatus;
  readonly message: string;
}

/** Checks by scenario, in the order in which the suite made them; an id may come more than once. */
export type Results = ReadonlyMap<string, readonly Check[]>;

const checksFile = z.array(
  z.object({
    id: z.string(),
    status: z.enum(['SUCCESS', 'FAILURE', 'WARNING', 'INFO', 'SKIPPED']),
    description: z.string().optional(),
    errorMessage: z.string().optional(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
);

/** Reads one `checks.json`. @throws when it is not what the suite writes */
export function parseChecks(text: string): Check[] {
  return checksFile.parse(JSON.parse(text)).map(({ id, status, description, errorMessage, details }) => ({
    id,
    status,
    message: [errorMessage ?? (status === 'SUCCESS' ? '' : (description ?? '')), violationsOf(details)]
      .filter((part) => part !== '')
      .join(' '),
  }));
}

/** `wire-schema-valid` keeps what is wrong with a message in its details. */
function violationsOf(details: Readonly<Record<string, unknown>> | undefined): string {
  const violations = details?.violations;
  return Array.isArray(violations) && violations.length > 0 ? JSON.stringify(violations).slice(0, 600) : '';
}

/** The scenario's name in a result folder's: `server-ping-2026-11-21T04-38-22-423Z` of a server run, `ping-2026-…` of a client run. */
export function scenarioOf(folder: string, role: 'server' | 'client'): string | undefined {
  const name = /^(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z$/.exec(folder)?.[1];
  if (name === undefined || role === 'client') return name;
  return name.startsWith('server-') ? name.slice('server-'.length) : undefined;
}

/**
 * All results below a folder that the suite wrote into.
 * @param said its standard error, where it says why a scenario broke down: then there is a folder and no checks in it
 */
export async function readResults(folder: string, role: 'server' | 'client', said: string): Promise<Results> {
  const results = new Map<string, Check[]>();
  for (const name of await foldersIn(folder)) {
    const scenario = scenarioOf(name, role);
    if (scenario === undefined) continue;
    const text = await readFile(join(folder, name, 'checks.json'), 'utf8').catch(() => undefined);
    results.set(scenario, text === undefined ? [brokenDown(scenario, said)] : parseChecks(text));
  }
  return results;
}

/** With those one below, for scenarios that have a slash in their names: `auth/metadata-default-2026-…`. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const below = await Promise.all(
    entries.map(async ({ name }) => {
      const inner = await readdir(join(folder, name), { withFileTypes: true });
      return inner.filter((entry) => entry.isDirectory()).map((entry) => `${name}/${entry.name}`);
    }),
  );
  return [...entries.map(({ name }) => name), ...below.flat()].sort();
}

function brokenDown(scenario: string, said: string): Check {
  const prefix = `Failed to run scenario ${scenario}: `;
  const line = said.split('\n').find((one) => one.startsWith(prefix));
  return { id: scenario, status: 'FAILURE', message: line?.slice(prefix.length) ?? 'the scenario broke down' };
}
