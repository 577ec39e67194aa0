import type { Canary } from '../../domain/canary.ts';
import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import { compact } from '../../flow/spellings.ts';
import { newName } from '../credentials/lease-parts.ts';
import { type Administration, administrator } from '../trail/record-administration.ts';
import type { Workspace } from '../workspace.ts';
import { loadFlowKeys } from './flow-keys.ts';

/** Shorter values stand in texts by chance. */
const LEAST = 12;
const MOST = 512;
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * Registers a canary, on the trail before it is made. What is kept of it is a fingerprint: the value is in what this returns, and nowhere else.
 * @param own a value that stands somewhere already; left out: a new one of 160 bits
 * @throws `ERR_NOT_FOUND` for a zone that nothing is in, `ERR_USAGE` for a value that would be found by chance
 */
export async function addCanary(
  workspace: Workspace,
  zone: string,
  own: Secret | undefined,
  record: (change: Administration) => Promise<unknown>,
): Promise<{ readonly id: string; readonly zone: string; readonly value: Secret }> {
  const { estate, store, system } = workspace;
  const zones = new Set([...estate.connectors.values()].map((connector) => connector.zone));
  if (!zones.has(zone)) {
    throw new RemitError('ERR_NOT_FOUND', `no connector is in zone ${zone}`, {
      where: 'connectors',
      hint: `Zones are ${[...zones].sort().join(', ')}.`,
    });
  }
  const value = own ?? new Secret([...system.random(32)].map((byte) => ALPHABET[byte & 31]).join(''));
  const spelled = compact(value.reveal());
  if (spelled.length < LEAST || spelled.length > MOST) {
    throw new RemitError('ERR_USAGE', `a canary has ${LEAST} to ${MOST} characters besides space`, {
      hint: 'A shorter one would be found where it does not stand. Leave it out to have one made.',
    });
  }
  const { printer } = await loadFlowKeys(workspace);
  const id = `can_${newName(system.random)}`;
  await record({ action: 'canary_add', canary: id, zone });
  await store.canaries.insert({
    tenant: estate.tenant,
    id,
    zone,
    print: printer.print(spelled),
    createdAt: system.clock(),
    createdBy: administrator(),
  });
  return { id, zone, value };
}

export const listCanaries = ({ store, estate }: Workspace): Promise<Canary[]> => store.canaries.list(estate.tenant);

/** @throws `ERR_NOT_FOUND` */
export async function removeCanary(
  workspace: Workspace,
  id: string,
  record: (change: Administration) => Promise<unknown>,
): Promise<void> {
  const { store, estate } = workspace;
  const known = (await listCanaries(workspace)).find((canary) => canary.id === id);
  if (known === undefined) {
    throw new RemitError('ERR_NOT_FOUND', `there is no canary ${id}`, {
      where: id,
      hint: '`remit canary ls` lists them.',
    });
  }
  await record({ action: 'canary_remove', canary: id, zone: known.zone });
  await store.canaries.remove(estate.tenant, id);
}
