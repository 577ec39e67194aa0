import { readRecords } from '../../audit/read-records.ts';
import { SET_BACK_ACCEPTED, type TrailState } from '../../audit/trail-state.ts';
import { RemitError } from '../../domain/errors.ts';
import { isSetBack, type LogPosition, type LogRow, logRowOf, readLogPosition } from '../../domain/log-position.ts';
import { REVOCATION_KINDS, type RevocationSubject } from '../../domain/revocation.ts';
import type { Journal } from '../../seams/journal.ts';
import type { Workspace } from '../workspace.ts';
import { openTrail } from './open-journal.ts';
import { administrator } from './record-administration.ts';

/**
 * Opens the journal, where the store is not older than it: one that was put back from a copy has forgotten orders that this node has obeyed (V1).
 * @throws `ERR_STORE_SET_BACK`, `ERR_STORE_*`, and what `openTrail` throws; the journal is closed then
 */
export async function openServedTrail(...of: Parameters<typeof openTrail>): ReturnType<typeof openTrail> {
  const opened = await openTrail(...of);
  try {
    const problem = await setBackOf(of[0], opened.trail.state);
    if (problem === undefined) return opened;
    throw new RemitError('ERR_STORE_SET_BACK', problem, { where: 'the revocation log in the store', hint: HINT });
  } catch (error) {
    await opened.journal.close();
    throw error;
  }
}

const HINT =
  'Put the right store in place; or stop the gateway and go on with this one: `remit audit accept-restored --reason …` gives the orders that it has forgotten again.';

async function setBackOf(
  { store, estate }: Pick<Workspace, 'store' | 'estate'>,
  { log }: Pick<TrailState, 'log'>,
): Promise<string | undefined> {
  if (log === undefined) return undefined;
  const { head, rows } = await store.revocations.read(estate.tenant, Math.max(log.position - 1, 0), 1);
  if (!isSetBack(log, head, rows[0])) return undefined;
  return head < log.position
    ? `the store is older than the trail: its revocation log ends at ${head}, and this node had read ${log.position}`
    : `the store is not the one that this node knows: row ${log.position} of its revocation log is another`;
}

export interface AcceptedStore {
  readonly problem: string;
  /** Orders that held, and that the store had forgotten: they hold again. */
  readonly givenAgain: readonly LogRow[];
}

/**
 * The way on with a store that is older than the trail: on record, and with what had been stopped stopped again. What had been let go on
 * again since stays stopped: that is for a person to say.
 * @throws `ERR_USAGE` where the store is as new as the trail
 */
export async function acceptRestored(workspace: Workspace, reason: string): Promise<AcceptedStore> {
  const { store, estate, system } = workspace;
  const { tenant } = estate;
  const { journal, recorder, trail } = await openTrail(workspace, () => {
    throw new Error('an administrative record has no sealed content');
  });
  try {
    const problem = await setBackOf(workspace, trail.state);
    if (problem === undefined) {
      throw new RemitError('ERR_USAGE', 'the store is not older than the trail', {
        hint: 'A gateway starts on it as it is.',
      });
    }
    const known = await store.revocations.standing(tenant);
    const standing = new Set(known.rows.map((row) => keyOf(logRowOf(row))));
    const givenAgain = (await heldByTrail(journal)).filter((row) => !standing.has(keyOf(row)));
    const by = administrator();
    // What is on the trail is what is done: the position comes last, so that a crash in between asks again.
    const asked = { reason, by, problem, givenAgain };
    await recorder.record({ type: 'administration', detail: { action: 'store_set_back_accepting', ...asked } });
    let at: LogPosition = { position: known.head, row: undefined };
    for (const { action, subject, ...why } of givenAgain) {
      const row = await store.revocations.append({
        ...{ tenant, action, subject: readSubject(subject), by, at: system.clock() },
        reason: `${why.reason} (by ${why.by}; given again after the store was restored)`.slice(0, 500),
      });
      at = { position: row.position, row: logRowOf(row) };
    }
    await recorder.record({
      type: 'administration',
      detail: { action: SET_BACK_ACCEPTED, ...asked, log: { position: at.position, ...at.row } },
    });
    return { problem, givenAgain };
  } finally {
    await journal.close();
  }
}

/** What the trail says that holds something back: the newest row of each subject, where that is no `resume`. */
async function heldByTrail(journal: Pick<Journal, 'read'>): Promise<LogRow[]> {
  const held = new Map<string, LogRow>();
  for await (const { type, detail } of readRecords(journal.read(0))) {
    const isStart = type === 'gateway_started';
    // What was let go on while nothing ran stands there alone, by not being held any more.
    if (isStart && detail.heldInAll === undefined) held.clear();
    for (const said of isStart ? listOf(detail.held) : type === 'revocation_applied' ? [detail] : []) {
      const row = readLogPosition(said)?.row;
      if (row === undefined) continue;
      held.delete(row.subject);
      // A lease is over in its own row, and every one that is found is revoked at the start.
      if (row.action !== 'resume' && !row.subject.startsWith('lease ')) held.set(row.subject, row);
    }
  }
  return [...held.values()];
}

const listOf = (said: unknown): readonly unknown[] => (Array.isArray(said) ? said.toReversed() : []);

const keyOf = ({ action, subject }: LogRow): string => `${action} ${subject}`;

function readSubject(text: string): RevocationSubject {
  const [kind = '', id = ''] = text.split(/ (.*)/s);
  const known = REVOCATION_KINDS.find((one) => one === kind);
  if (known === undefined) throw new RemitError('ERR_INTERNAL', `the trail names what there is not: ${text}`);
  return { kind: known, id };
}
