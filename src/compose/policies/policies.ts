import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { buildSchema } from '../../adapters/policy/cedar-schema.ts';
import { versionOf } from '../../adapters/policy/cedar-version.ts';
import type { LintFinding } from '../../adapters/policy/lint/lint-model.ts';
import { lintPolicies } from '../../adapters/policy/lint/lint-policies.ts';
import { loadAside } from '../../adapters/policy/load-aside.ts';
import { type LoadedPolicies, loadPolicies } from '../../adapters/policy/load-policies.ts';
import type { PolicyInventory } from '../../adapters/policy/policy-inventory.ts';
import { RemitError } from '../../domain/errors.ts';
import { type ItemKind, itemName, type ToolProfile } from '../../domain/tool.ts';
import type { Estate } from '../estate.ts';
import { isCaseFile, isPolicyFile, type NamedText, type PolicyCase, readCases, readTexts } from './policy-cases.ts';

/** Name of the schema file that `remit policy schema` and `remit up` write beside the policies. */
const SCHEMA_FILE = 'schema.cedarschema';

/** Policies as they were read: what decides, and the cases that say how. */
export interface PolicySet {
  readonly loaded: LoadedPolicies;
  readonly cases: readonly PolicyCase[];
  readonly files: readonly PolicyFileDigest[];
}

/** For the record: which file, and what stood in it. */
export interface PolicyFileDigest {
  /** Below the policies folder. */
  readonly file: string;
  /** `sha256:` + hex. */
  readonly digest: string;
}

/** Files of the folder that count: policies and their cases, in a fixed order. @throws `ERR_CONFIG_MISSING` */
export async function listPolicyFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new RemitError('ERR_CONFIG_MISSING', 'the policies folder cannot be read', {
      where: folder,
      hint: 'Run `remit init`, or set `policies` in remit.yaml.',
      cause,
    });
  });
  // A mounted ConfigMap has each file twice more: below `..<time>`, where it lies, and below the link `..data`, by which all are replaced at once.
  const isMounted = names.includes('..data');
  const counts = (name: string): boolean => !(isMounted && name.startsWith('..') && name.includes(sep));
  return names.filter((name) => (isPolicyFile(name) || isCaseFile(name)) && counts(name)).sort();
}

/** Reads every `*.cedar` and `*.cases.yaml` below a folder, once. @throws `ERR_CONFIG_MISSING` */
export async function readPolicyTexts(folder: string): Promise<NamedText[]> {
  return await readTexts(folder, await listPolicyFiles(folder));
}

/**
 * Validates policies and their cases strictly, wherever they were read.
 * @throws `ERR_POLICY_INVALID`, as `loadAside`
 */
export async function makePolicySet(
  texts: readonly NamedText[],
  estate: Estate,
  signal?: AbortSignal,
): Promise<PolicySet> {
  const loaded = await loadAside(
    texts.filter(({ name }) => isPolicyFile(name)),
    policyInventory(estate),
    signal,
  );
  assertApprovers(loaded, estate);
  const cases = readCases(
    texts.filter(({ name }) => !isPolicyFile(name)),
    estate,
  );
  const digests = texts.map(({ name, text }) => ({
    file: name,
    digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
  }));
  return { loaded, cases, files: digests };
}

/** Strictly validates what decides, without cases. @throws `ERR_POLICY_INVALID` */
export function loadTexts(texts: readonly NamedText[], estate: Estate): LoadedPolicies {
  const loaded = loadPolicies(
    texts.filter(({ name }) => isPolicyFile(name)),
    policyInventory(estate),
  );
  assertApprovers(loaded, estate);
  return loaded;
}

/** Reads and strictly validates every `*.cedar` below a folder. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function readPolicies(folder: string, estate: Estate): Promise<LoadedPolicies> {
  return loadTexts(await readPolicyTexts(folder), estate);
}

/** Version that a folder would have in force. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function folderVersion(folder: string, estate: Estate): Promise<string> {
  return versionOf(await readPolicies(folder, estate));
}

/** What is wrong or risky in the policies of a folder. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function lintFolder(folder: string, estate: Estate): Promise<LintFinding[]> {
  const { templates, environment } = estate;
  return lintPolicies({ ...(await readPolicies(folder, estate)), templates: [...templates.values()], environment });
}

/** A group that does not exist would hold calls that nobody can ever approve. */
function assertApprovers({ policies }: LoadedPolicies, { approverGroups }: Estate): void {
  for (const { stepUp, file, line, id } of policies) {
    const unknown = stepUp?.groups.find((name) => !approverGroups.has(name));
    if (unknown === undefined) continue;
    throw new RemitError('ERR_POLICY_INVALID', `${id}: @step_up names ${unknown}, which is no group of approvers`, {
      where: `${file}:${line}`,
      hint: `Add it to approvals.groups in remit.yaml. Known: ${[...approverGroups.keys()].join(', ') || 'none'}.`,
    });
  }
}

/** Writes the Cedar schema of the estate beside the policies; gives its path. */
export async function writePolicySchema(folder: string, estate: Estate): Promise<string> {
  const path = join(folder, SCHEMA_FILE);
  await writeFile(path, buildSchema(policyInventory(estate)));
  return path;
}

function policyInventory(estate: Estate): PolicyInventory {
  return {
    agents: [...estate.agents.values()],
    connectors: [...estate.connectors.values()].map(
      ({ id, owner, environment, zone, profiles, resources, prompts }) => ({
        id,
        owner,
        environment,
        zone,
        tools: [...entries('tool', profiles), ...entries('resource', resources), ...entries('prompt', prompts)],
      }),
    ),
  };
}

const entries = (kind: ItemKind, profiles: ReadonlyMap<string, ToolProfile>) =>
  [...profiles].map(([name, profile]) => ({ name: itemName(kind, name), profile }));
