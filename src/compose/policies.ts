import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { buildSchema } from '../adapters/policy/cedar-schema.ts';
import { type LoadedPolicies, loadPolicies } from '../adapters/policy/load-policies.ts';
import type { PolicyInventory } from '../adapters/policy/policy-inventory.ts';
import { RemitError } from '../domain/errors.ts';
import { type ItemKind, itemName, type ToolProfile } from '../domain/tool.ts';
import type { Estate } from './estate.ts';

/** Name of the schema file that `remit policy schema` and `remit up` write beside the policies. */
const SCHEMA_FILE = 'schema.cedarschema';

/** Reads and strictly validates every `*.cedar` below a folder. @throws `ERR_POLICY_INVALID`, `ERR_CONFIG_MISSING` */
export async function readPolicies(folder: string, estate: Estate): Promise<LoadedPolicies> {
  const names = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new RemitError('ERR_CONFIG_MISSING', 'the policies folder cannot be read', {
      where: folder,
      hint: 'Run `remit init`, or set `policies` in remit.yaml.',
      cause,
    });
  });
  const paths = names.filter((name) => name.endsWith('.cedar')).sort();
  const files = await Promise.all(
    paths.map(async (name) => ({
      path: join(relative(process.cwd(), folder), name),
      text: await readFile(join(folder, name), 'utf8'),
    })),
  );
  const loaded = loadPolicies(files, policyInventory(estate));
  assertApprovers(loaded, estate);
  return loaded;
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
