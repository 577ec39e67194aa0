import { readRecords } from '../../audit/read-records.ts';
import { isRemitError } from '../../domain/errors.ts';
import type { AuditRecord } from '../../domain/record.ts';
import { createJournalAccess } from '../trail/journal-access.ts';

/** A version of the policies that was put in force. */
export interface PolicyVersion {
  readonly version: string;
  /** RFC 3339. */
  readonly since: string;
  readonly how: 'start' | 'reload';
  /** Of a reload: who asked for it. */
  readonly by: string | undefined;
  readonly files: readonly { readonly file: string; readonly digest: string }[];
}

/** From the trail, which is the authority on what happened; oldest first. A start under the version of before is no new one. */
export async function policyVersions(journal: string): Promise<PolicyVersion[]> {
  try {
    return await versionsIn(readRecords(createJournalAccess(journal).read(0)));
  } catch (error) {
    if (!isRemitError(error, 'ERR_NOT_FOUND')) throw error;
    return [];
  }
}

export async function versionsIn(
  records: AsyncIterable<AuditRecord> | Iterable<AuditRecord>,
): Promise<PolicyVersion[]> {
  const versions: PolicyVersion[] = [];
  for await (const record of records) {
    if (isUndone(record, versions.at(-1))) versions.pop();
    const next = versionOf(record);
    if (next !== undefined && next.version !== versions.at(-1)?.version) versions.push(next);
  }
  return versions;
}

/** On the trail before it was to be in force; then the store would not have it. */
const isUndone = ({ type, detail }: AuditRecord, last: PolicyVersion | undefined): boolean =>
  type === 'administration' &&
  detail.action === 'policy_reload_refused' &&
  last?.how === 'reload' &&
  detail.inForce !== last.version;

function versionOf({ type, time: since, detail }: AuditRecord): PolicyVersion | undefined {
  const { policyVersion, policyFiles, action, to, files, by } = detail as Readonly<Record<string, unknown>>;
  if (type === 'gateway_started' && typeof policyVersion === 'string') {
    return { version: policyVersion, since, how: 'start', by: undefined, files: filesIn(policyFiles) };
  }
  if (type !== 'administration' || action !== 'policy_reload' || typeof to !== 'string') return undefined;
  return { version: to, since, how: 'reload', by: typeof by === 'string' ? by : undefined, files: filesIn(files) };
}

function filesIn(value: unknown): PolicyVersion['files'] {
  return Array.isArray(value) ? (value as PolicyVersion['files']) : [];
}
