import type { Task, TaskEndReason } from '../domain/task.ts';
import type { FinishedSpan, ObservedCall } from '../seams/telemetry.ts';
import { ATTRIBUTES } from './attributes.ts';

/** Characters of a value that a client or a server chose. */
const LONGEST_VALUE = 256;

/**
 * The span of one operation. Its ids are those of the records: the task's trace, and the span that `traceparent` carries upstream, so that a
 * server's own spans hang below it. Its parent is the span of the task.
 */
export function callSpan(call: ObservedCall): FinishedSpan {
  const { method, item, session, protocolVersion, requestId, lease, verdict, gate, status, code } = call;
  const error = errorTypeOf(call);
  const named = item?.kind === 'tool' || item?.kind === 'prompt' ? item.name : undefined;
  const attributes: Record<string, string | number> = {
    [ATTRIBUTES.method]: cut(method),
    [ATTRIBUTES.agent]: call.agent,
    [ATTRIBUTES.task]: call.task,
    [ATTRIBUTES.verdict]: verdict,
  };
  const put = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) attributes[name] = typeof value === 'string' ? cut(value) : value;
  };
  put(ATTRIBUTES.connector, item?.connector);
  put(ATTRIBUTES.session, session);
  put(ATTRIBUTES.protocolVersion, protocolVersion);
  // A string or a number in JSON-RPC; one type for a backend.
  put(ATTRIBUTES.requestId, requestId === undefined ? undefined : String(requestId));
  put(ATTRIBUTES.lease, lease);
  put(ATTRIBUTES.gate, gate);
  put(ATTRIBUTES.status, status);
  if (item !== undefined && named === undefined) put(ATTRIBUTES.item, item.name);
  if (item?.kind === 'tool') {
    put(ATTRIBUTES.tool, item.name);
    if (method === 'tools/call') put(ATTRIBUTES.operation, 'execute_tool');
  }
  if (item?.kind === 'prompt') put(ATTRIBUTES.prompt, item.name);
  if (status === 'rpc_error') put(ATTRIBUTES.responseCode, code === undefined ? undefined : String(code));
  put(ATTRIBUTES.errorType, error);
  return {
    // A resource's address is of no low cardinality: it stays out of the name.
    name: cut(named === undefined ? method : `${method} ${named}`),
    kind: 'server',
    trace: call.trace,
    span: call.span,
    parent: taskSpanId(call.trace),
    link: call.link,
    startedAt: call.startedAt,
    endedAt: call.endedAt,
    attributes,
    isError: error !== undefined,
  };
}

/** The span of a whole task: sent when it ends. */
export function taskSpan(task: Task, reason: TaskEndReason, endedAt: number): FinishedSpan {
  return {
    name: `task ${task.template}`,
    kind: 'internal',
    trace: task.trace,
    span: taskSpanId(task.trace),
    parent: undefined,
    link: undefined,
    startedAt: task.startedAt,
    endedAt,
    attributes: {
      [ATTRIBUTES.task]: task.id,
      [ATTRIBUTES.template]: task.template,
      [ATTRIBUTES.agent]: task.agent,
      [ATTRIBUTES.endReason]: reason,
    },
    isError: false,
  };
}

/** Made of the trace id, so that a restarted gateway knows it as well. */
const taskSpanId = (trace: string): string => trace.slice(0, 16);

/**
 * `error.type` after the conventions: a tool that failed is a good answer that says so (`tool_error`); a JSON-RPC error is its code; what was
 * refused or did not come back has a word of ours. Undefined: nothing went wrong.
 */
function errorTypeOf({ verdict, gate, status, code }: ObservedCall): string | undefined {
  if (verdict !== 'permit') return `denied_${gate ?? 'unknown'}`;
  switch (status) {
    case 'ok':
    case 'input_required':
    case undefined:
      return undefined;
    case 'rpc_error':
      return code === undefined ? '_OTHER' : String(code);
    case 'tool_error':
      return 'tool_error';
    default:
      return code === undefined ? status : String(code);
  }
}

const cut = (text: string): string => (text.length > LONGEST_VALUE ? text.slice(0, LONGEST_VALUE) : text);
