import { isJsonObject, type JsonObject } from '../../domain/json.ts';

/** What an enforcement point asks: AuthZEN 1.0, section 5, with what Remit needs of each part. */
export interface Evaluation {
  readonly subject: { readonly type: 'user' | 'agent'; readonly id: string };
  readonly action: 'call' | 'discover';
  /** `connector/tool`, `connector/prompt:name` or `connector/resource:pattern`. */
  readonly item: string;
  readonly task: string;
  readonly actors: readonly string[];
  readonly args: JsonObject;
}

export type EvaluationReading = { readonly evaluation: Evaluation } | { readonly problem: string };

const LONGEST = 512;
const MOST_ACTORS = 16;

/** Reads one question. Members that are not known are left alone, as the section wants. */
export function readEvaluation(asked: JsonObject): EvaluationReading {
  const { subject, action, resource, context = {} } = asked;
  if (!isJsonObject(subject) || !isText(subject.type) || !isText(subject.id)) return no('subject needs type and id');
  if (!isJsonObject(action) || !isText(action.name)) return no('action needs a name');
  if (!isJsonObject(resource) || !isText(resource.type) || !isText(resource.id))
    return no('resource needs type and id');
  if (!isJsonObject(context)) return no('context is no object');
  const { type } = subject;
  if (type !== 'user' && type !== 'agent') return no('subject.type is user or agent');
  const { name } = action;
  if (name !== 'call' && name !== 'discover') return no('action.name is call or discover');
  if (!['tool', 'prompt', 'resource'].includes(resource.type)) return no('resource.type is tool, prompt or resource');
  const { task, actors = [], arguments: args = {} } = context;
  if (!isText(task)) return no('context.task is the id of a task');
  if (!Array.isArray(actors) || actors.length > MOST_ACTORS || !actors.every(isText)) {
    return no('context.actors is a list of agents');
  }
  if (!isJsonObject(args)) return no('context.arguments is no object');
  return { evaluation: { subject: { type, id: subject.id }, action: name, item: resource.id, task, actors, args } };
}

const no = (problem: string): EvaluationReading => ({ problem });

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= LONGEST;
