import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Question } from '../client-request.ts';

/**
 * A client's answer to one question, checked for the shape that the question's method calls for: a server of another era must not get what
 * its own clients could not have sent. Undefined for anything else, which is asked for again.
 */
export function readResponse(method: Question['method'], response: unknown): JsonObject | undefined {
  if (!isJsonObject(response) || !HAS_SHAPE[method](response)) return undefined;
  // Claims that a client adds about itself are not the server's to read (attack A14).
  const { _meta, ...result } = response;
  return result;
}

const ACTIONS: ReadonlySet<unknown> = new Set(['accept', 'decline', 'cancel']);

const HAS_SHAPE: Readonly<Record<Question['method'], (response: JsonObject) => boolean>> = {
  'elicitation/create': ({ action, content }) =>
    ACTIONS.has(action) && (content === undefined || isJsonObject(content)),
  'sampling/createMessage': ({ role, model, content }) =>
    (role === 'assistant' || role === 'user') &&
    typeof model === 'string' &&
    typeof content === 'object' &&
    content !== null,
  'roots/list': ({ roots }) =>
    Array.isArray(roots) && roots.every((root) => isJsonObject(root) && typeof root.uri === 'string'),
};

/** A legacy server's question as a modern client reads it: without what belongs to the hop or is no more. */
export function modernQuestion({ method, params }: Pick<Question, 'method' | 'params'>): JsonObject {
  const { _meta, task, elicitationId, ...rest } = params;
  return { method, params: rest };
}
