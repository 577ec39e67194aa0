import type { JWK } from 'jose';
import type { RecordedDecision } from '../../audit/recorded-decisions.ts';
import { openContent } from '../../audit/seal-content.ts';
import { isRemitError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import { openContentKey } from '../trail/journal-access.ts';
import type { Workspace } from '../workspace.ts';
import type { KnownArguments } from './replay-decision.ts';

/** Opens the arguments of one decision after the other. */
export type OpenArguments = (decided: RecordedDecision) => Promise<KnownArguments>;

/** For who may not read them, or wants not to. */
export const sealedArguments: OpenArguments = async () => 'arguments_sealed';

/** Keys kept at once: tasks overlap, and a trail has more of them than memory. */
const MOST_KEYS = 1_000;

/**
 * That arguments are read is put on the trail before, by whoever calls this.
 * @param auditorKey private key of an auditor, where content is for auditors alone
 */
export function createArgumentOpener(workspace: Workspace, auditorKey: JWK | undefined): OpenArguments {
  const keys = new Map<string, Buffer | 'arguments_sealed' | 'arguments_erased'>();

  async function keyOf(task: TaskId, name: string): Promise<Buffer | 'arguments_sealed' | 'arguments_erased'> {
    try {
      return await openContentKey(workspace, task, name, auditorKey);
    } catch (error) {
      if (isRemitError(error, 'ERR_NOT_FOUND')) return 'arguments_erased';
      // Of an auditor whom this task’s key was not sealed for, too.
      if (isRemitError(error, 'ERR_AUDITOR_KEY')) return 'arguments_sealed';
      throw error;
    }
  }

  return async ({ record: { sealed, task, span } }) => {
    if (sealed === undefined || task === undefined || span === undefined) return 'arguments_sealed';
    const { key: name } = sealed;
    let key = keys.get(name);
    if (key === undefined) {
      key = await keyOf(task, name);
      if (keys.size >= MOST_KEYS) keys.clear();
      keys.set(name, key);
    }
    if (typeof key === 'string') return key;
    const value: unknown = JSON.parse(openContent(sealed, { task, span }, { name, bytes: key }));
    return isJsonObject(value) ? value : 'arguments_sealed';
  };
}
