/** The trace that a client is in: noted as a link, never taken for our own (W3C Trace Context, level 2). */
export interface TraceLink {
  readonly trace: string;
  readonly span: string;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;
const ZEROS = /^0+$/;

/** Reads a `traceparent` (§3.2). Undefined for what is none: version ff, ids of zeros, more behind a version that has no more. */
export function readTraceparent(text: unknown): TraceLink | undefined {
  if (typeof text !== 'string' || text.length > 256) return undefined;
  const parts = TRACEPARENT.exec(text);
  if (parts === null) return undefined;
  const [, version, trace, span, more] = parts as unknown as [string, string, string, string, string | undefined];
  if (version === 'ff' || (version === '00' && more !== undefined) || ZEROS.test(trace) || ZEROS.test(span))
    return undefined;
  return { trace, span };
}
