import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

/** How a row of the report is governed. */
export type Row = 'template' | 'declared' | 'off';

export const ROWS: readonly { readonly row: Row; readonly title: string }[] = [
  { row: 'template', title: 'no declaration (template only)' },
  { row: 'declared', title: 'per-task declarations' },
  { row: 'off', title: 'policy off' },
];

type Settings = Readonly<Record<string, unknown>>;

/** Profiles of a suite's tools, as `connectors.<id>.tools` of remit.yaml has them, and more of its connector. */
export type Profiles = Readonly<Record<string, { readonly tools: Readonly<Record<string, Settings>> }>>;

/** Of a suite: the template that its tasks are declared within, and what a declaration says besides the prompt. */
export type Declarations = Readonly<
  Record<string, { readonly template: Settings; readonly tasks?: Readonly<Record<string, Settings>> }>
>;

export async function readProfiles(path: string): Promise<Profiles> {
  return (await readYaml(path)) as Profiles;
}

export async function readDeclarations(path: string): Promise<Declarations> {
  return (await readYaml(path)) as Declarations;
}

async function readYaml(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Error(`${path} cannot be read`, { cause });
  });
  return parse(text) as unknown;
}

const CLASSES = ['read', 'write', 'ticket', 'code', 'financial', 'export', 'privilege', 'secret'];
/** Keys of a profile and a template that make it one of flow: without them nothing but Cedar decides. */
const FLOW_KEYS = ['source', 'sink', 'critical', 'resource', 'handle', 'destinations', 'asked', 'inverse'];

/** `remit.yaml` of one row over the connectors of some suites. */
export function configOf(
  row: Row,
  suites: readonly { readonly suite: string; readonly url: string }[],
  profiles: Profiles,
  declarations: Declarations,
): object {
  const owner = 'replay@example.com';
  return {
    version: 1,
    listen: { port: 0 },
    // Each trace is played in surroundings of its own: what one stores is not there for the next.
    flow: { stored: { labels: 'off' } },
    agents: { replay: { owner, publicKeys: 'replay.jwks.json' } },
    connectors: Object.fromEntries(
      suites.map(({ suite, url }) => [
        suite,
        {
          owner,
          transport: { http: { url } },
          tools: mapValues(profiles[suite]?.tools ?? {}, (tool) => profileOf(row, tool, owner)),
        },
      ]),
    ),
    templates: Object.fromEntries(
      suites.map(({ suite }) => {
        const { flow, ...template } = declarations[suite]?.template ?? {};
        return [
          suite,
          {
            owner,
            purpose: `work on ${suite}`,
            agents: ['replay'],
            classes: CLASSES,
            tools: [`${suite}/*`],
            calls: 1000,
            ...template,
            ...flowOf(row, flow as Settings | undefined),
          },
        ];
      }),
    ),
  };
}

function profileOf(row: Row, profile: Settings, owner: string): Settings {
  const kept = Object.entries(profile).filter(([key]) => row !== 'off' || !FLOW_KEYS.includes(key));
  return { approvedBy: owner, ...Object.fromEntries(kept) };
}

function flowOf(row: Row, flow: Settings | undefined): object {
  if (row === 'off' || flow === undefined) return {};
  return { flow: row === 'template' ? { ...flow, narrow: 'none' } : flow };
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
