import { RemitError } from '../domain/errors.ts';
import type { AuditRecord } from '../domain/record.ts';
import { decodeRecord } from './decode-record.ts';
import { type RunReader, runsBackwards } from './read-backwards.ts';

/** Which call is meant. */
export interface CallQuery {
  /** A span or the start of one, a trace (of the task, or of the client's own) or its start, a task, an approval, `#position`, or the client's id of the call; `last`: the newest. */
  readonly id: string;
  readonly task?: string | undefined;
  readonly agent?: string | undefined;
}

/** Fewer digits than these would fit too many calls. */
const LEAST_PREFIX = 4;

/**
 * The newest call that is meant, by its span. Reads from the end of the trail.
 * @returns undefined when there is none
 * @throws `ERR_USAGE` when the start of a span fits several calls
 */
export async function findCall(reader: RunReader, query: CallQuery): Promise<string | undefined> {
  const spans = new Set<string>();
  for await (const { payloads } of runsBackwards(reader)) {
    let newest: string | undefined;
    for await (const { position, payload } of payloads()) {
      if (!mayBeMeant(payload)) continue;
      const record = decodeRecord(position, payload);
      const { span, type, task, agent } = record;
      if (span === undefined || (type !== 'decision' && type !== 'approval_requested')) continue;
      if ((query.task !== undefined && task !== query.task) || (query.agent !== undefined && agent !== query.agent))
        continue;
      const meant = isMeant(record, query.id);
      if (meant === undefined) continue;
      newest = span;
      if (meant === 'start of span') spans.add(span);
    }
    if (spans.size > 1) {
      throw new RemitError('ERR_USAGE', `several calls begin with ${query.id}`, {
        hint: `Give more of it: ${[...spans].slice(0, 8).join(', ')}${spans.size > 8 ? ', …' : ''}`,
      });
    }
    if (newest !== undefined) return newest;
  }
  return undefined;
}

const TYPES = ['"type":"decision"', '"type":"approval_requested"'].map((text) => Buffer.from(text));

const mayBeMeant = (payload: Buffer): boolean => TYPES.some((type) => payload.includes(type));

function isMeant(
  { span, trace, task, seq, type, detail }: AuditRecord,
  id: string,
): 'it' | 'start of span' | undefined {
  if (type === 'approval_requested') return detail.approval === id ? 'it' : undefined;
  if (id === 'last' || span === id || task === id || `#${seq}` === id || detail.clientCallId === id) return 'it';
  if (id.length < LEAST_PREFIX || !/^[0-9a-f]{1,32}$/.test(id)) return undefined;
  if (span?.startsWith(id)) return 'start of span';
  const link = (detail.link as { trace?: unknown } | undefined)?.trace;
  return trace?.startsWith(id) || (typeof link === 'string' && link.startsWith(id)) ? 'it' : undefined;
}
