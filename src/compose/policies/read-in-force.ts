import { join, relative } from 'node:path';
import { versionOf } from '../../adapters/policy/cedar-version.ts';
import type { LoadedPolicies } from '../../adapters/policy/load-policies.ts';
import { RemitError } from '../../domain/errors.ts';
import { loadStateKey } from '../credentials/state-key.ts';
import type { Estate } from '../estate.ts';
import type { PoliciesNow } from '../explain/explain-call.ts';
import type { Workspace } from '../workspace.ts';
import { loadTexts, readPolicyTexts } from './policies.ts';
import type { NamedText } from './policy-cases.ts';
import { createSealedPolicies, digestOf, notOfANode } from './sealed-policies.ts';

/** Where the policies are from that a command looks at. */
export interface PolicySource {
  /** `store`: in force at all nodes of it. `folder`: what lies there, which a gateway reads when it starts or is told to. */
  readonly from: 'store' | 'folder';
  /** Of policies of the store: the one of this host. */
  readonly folder: string;
  /** Of a folder: somebody named it. */
  readonly isNamed?: true;
  /** Of policies of the store: who put them in force, at which node. */
  readonly by?: string;
  /** Of policies of the store: whether this host's folder has the same files of policies. */
  readonly folderHolds?: 'the same' | 'others' | 'nothing that can be read';
  /** Of a folder, where gateways share policies by their store: none of them has started yet. */
  readonly isBeforeFirst?: true;
}

export interface SourcedPolicies {
  readonly source: PolicySource;
  /** With their cases. */
  readonly texts: readonly NamedText[];
}

type InForcePlace = Pick<Workspace, 'store' | 'estate' | 'vault' | 'system' | 'node' | 'places'>;

/** @throws `ERR_CONFIG_MISSING` */
export async function readFolder(
  folder: string,
  more: Pick<PolicySource, 'isNamed' | 'isBeforeFirst'> = {},
): Promise<SourcedPolicies> {
  return { source: { from: 'folder', folder, ...more }, texts: await readPolicyTexts(folder) };
}

/**
 * What gateways of this configuration decide by: what is in force by the store, where they share that; else the policies folder, of which no gateway has to be
 * asked. Changes nothing.
 * @throws `ERR_STORE_*`, `ERR_VAULT_*`, `ERR_CONFIG_MISSING` for a folder
 */
export async function readInForce(workspace: InForcePlace): Promise<SourcedPolicies> {
  const folder = workspace.places.policies;
  if (workspace.store.shared === undefined) return await readFolder(folder);
  const given = await openNewest(workspace);
  if (given === undefined) return await readFolder(folder, { isBeforeFirst: true });
  const { by, texts } = given;
  const folderHolds = await readPolicyTexts(folder).then(
    (here) => (digestOf(here) === digestOf(texts) ? ('the same' as const) : ('others' as const)),
    () => 'nothing that can be read' as const,
  );
  const pathOf = (name: string): string =>
    folderHolds === 'the same' ? join(relative(process.cwd(), folder), name) : name;
  return {
    source: { from: 'store', folder, by, folderHolds },
    texts: texts.map((one) => ({ ...one, path: pathOf(one.name) })),
  };
}

/** Tries, where what is the newest is replaced while it is read. */
const MOST_TRIES = 8;

/** Undefined where no node has put any in force yet. */
async function openNewest({ store, estate, vault, system, node }: InForcePlace) {
  const { tenant } = estate;
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const newest = await store.shared?.policies.newest(tenant);
    if (newest === undefined) return undefined;
    const { position, digest } = newest;
    const text = await store.shared?.policies.read(tenant, position);
    if (text === undefined) continue;
    // Loaded, and never made here: who only looks puts no key into the store.
    const stateKey = await loadStateKey({ tenant, repository: store.taskKeys, vault });
    const { clock, random } = system;
    const given =
      stateKey && createSealedPolicies({ tenant, stateKey, clock, random }, node).open(position, digest, text);
    if (given === undefined) break;
    return given;
  }
  throw notOfANode();
}

/** Validates them against an estate. @throws `ERR_POLICY_INVALID` */
export function loadSourced({ source, texts }: SourcedPolicies, estate: Estate): LoadedPolicies {
  try {
    return loadTexts(texts, estate);
  } catch (error) {
    if (source.from === 'folder' || !(error instanceof RemitError)) throw error;
    const { code, message, where } = error;
    throw new RemitError(
      code,
      `the policies that are in force at the nodes of the store are not valid under this remit.yaml: ${message}`,
      { ...(where !== undefined && { where }), hint: 'Bring the remit.yaml of the other nodes here.', cause: error },
    );
  }
}

/** The same, with the version that they are here. @throws `ERR_POLICY_INVALID` */
export function policiesNow(sourced: SourcedPolicies, estate: Estate): PoliciesNow {
  const loaded = loadSourced(sourced, estate);
  return { version: versionOf(loaded), policies: loaded.policies };
}
