import { messageOf, RemitError } from '../domain/errors.ts';
import type { AuditRecord } from '../domain/record.ts';

/** @throws `ERR_JOURNAL_DAMAGED` for a payload that is not a record */
export function decodeRecord(position: number, payload: Buffer): AuditRecord {
  try {
    const event: unknown = JSON.parse(payload.toString('utf8'));
    if (isEvent(event)) return { ...event, seq: position };
    throw new TypeError('time, type, tenant or detail is missing');
  } catch (cause) {
    throw new RemitError('ERR_JOURNAL_DAMAGED', `the payload is not an audit record: ${messageOf(cause)}`, {
      where: `record ${position}`,
      hint: 'Run `remit audit verify`; if it verifies, another program, or a newer Remit, wrote it.',
      cause,
    });
  }
}

const BEFORE_TYPE = Buffer.from(`,"type":"`);
/** Length of `{"time":"2026-08-31T09:12:44.310Z"`, as the recorder begins every record. */
const TYPE_AT = 34;
const QUOTE = 0x22;

/** Type of a record by where it stands in its text, without reading it; undefined where it does not stand there. */
export function peekType(payload: Buffer): string | undefined {
  const start = TYPE_AT + BEFORE_TYPE.length;
  if (payload.length <= start || payload.compare(BEFORE_TYPE, 0, BEFORE_TYPE.length, TYPE_AT, start) !== 0)
    return undefined;
  const end = payload.indexOf(QUOTE, start);
  return end < 0 ? undefined : payload.toString('latin1', start, end);
}

function isEvent(event: unknown): event is Omit<AuditRecord, 'seq'> {
  if (typeof event !== 'object' || event === null) return false;
  const { time, type, tenant, detail } = event as Record<string, unknown>;
  const isText = typeof time === 'string' && typeof type === 'string' && typeof tenant === 'string';
  return isText && typeof detail === 'object' && detail !== null;
}
