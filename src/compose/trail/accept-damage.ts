import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ed25519Signer, newSignerKey } from '../../adapters/journal/ed25519-signer.ts';
import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import { isDamage } from '../start-revoke-only.ts';
import type { Workspace } from '../workspace.ts';
import { openJournal, openTrail, signingKeyName } from './open-journal.ts';
import { administrator } from './record-administration.ts';
import { originOf } from './store-heads.ts';

export interface AcceptedDamage {
  /** Where the damaged journal lies now. */
  readonly kept: string;
  /** What was wrong with it. */
  readonly problem: string;
  /** Its newest checkpoint, as far as it can be read. */
  readonly lastCheckpoint: string | undefined;
  readonly endedTasks: number;
}

/**
 * The way out of revoke-only (A4): a new journal, under a new key, whose first record names the old one's last checkpoint. The
 * old one is kept beside it. Tasks end: what they have used of their budgets was in the old journal alone.
 * @throws `ERR_USAGE` when the journal is not damaged
 */
export async function acceptDamage(workspace: Workspace): Promise<AcceptedDamage> {
  const { places, store, estate, vault, system } = workspace;
  const problem = await damageOf(workspace);
  const kept = `${places.journal}-damaged-${new Date(system.clock()).toISOString().replace(/[:.]/g, '')}`;
  const notes = await readFile(join(places.journal, 'checkpoints'), 'utf8').catch(() => '');
  const lastCheckpoint = notes.match(/^remit\/\S+\n\d+\n\S+\n\n— \S+ \S+\n/gm)?.at(-1);

  // Among several nodes only its own: what the others' tasks have used stands in their journals.
  const { node } = workspace;
  const owned = node === undefined ? undefined : await store.shared?.places.claim(estate.tenant, node, 'earlier');
  const own = owned && new Set(owned.map(({ task }) => task));
  const tasks = (await store.tasks.list(estate.tenant)).filter(
    ({ id, state }) => state !== 'ended' && (own === undefined || own.has(id)),
  );
  for (const task of tasks) await store.tasks.end(estate.tenant, task.id, 'revoked', system.clock());

  // Another tree under the same key would be a second history in that key's name.
  const key = newSignerKey(system.random);
  await vault.put(signingKeyName(workspace), new Secret(key));
  const superseded = await supersede(workspace, originOf(estate.tenant, ed25519Signer(key).publicKey));
  const made = `${places.journal}.new`;
  await rm(made, { recursive: true, force: true });
  const { journal, recorder } = await openJournal({ ...workspace, places: { ...places, journal: made } }, () => {
    throw new Error('an administrative record has no sealed content');
  });
  const detail = {
    action: 'journal_damage_accept',
    kept,
    problem,
    ...(lastCheckpoint !== undefined && { lastCheckpoint }),
    ...(superseded.length > 0 && { superseded }),
  };
  try {
    await recorder.record({
      type: 'administration',
      detail: { ...detail, endedTasks: tasks.map((task) => task.id), by: administrator() },
    });
  } finally {
    await journal.close();
  }
  // Perhaps nothing was left of it.
  await mkdir(places.journal, { recursive: true });
  await rename(places.journal, kept);
  await rename(made, places.journal);
  return { kept, problem, lastCheckpoint, endedTasks: tasks.length };
}

/** Among several nodes: gives up what the others know of this node's journals. @returns their checkpoints, which the new one's first record names */
async function supersede({ store, estate, node }: Workspace, origin: string): Promise<string[]> {
  const heads = store.shared?.heads;
  if (heads === undefined || node === undefined) return [];
  const known = await heads.ofNode(estate.tenant, node);
  await heads.supersede(estate.tenant, node, origin);
  return known.filter((head) => head.origin !== origin).map(({ checkpoint }) => checkpoint);
}

async function damageOf(workspace: Workspace): Promise<string> {
  try {
    const { journal } = await openTrail(workspace, () => {
      throw new Error('nothing is sealed here');
    });
    await journal.close();
  } catch (error) {
    if (isDamage(error)) return `${error.message}${error.where === undefined ? '' : ` (${error.where})`}`;
    throw error;
  }
  throw new RemitError('ERR_USAGE', 'the journal is not damaged where a start reads it', {
    where: workspace.places.journal,
    hint: 'Run `remit audit verify` for all of it; a gateway starts on it as it is.',
  });
}
