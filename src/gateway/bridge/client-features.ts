import { RPC } from '../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { RpcError } from '../../seams/upstream.ts';
import type { Question } from '../client-request.ts';
import type { ClientFeature } from '../gateway.ts';

/**
 * What of a client's declared capabilities (MCP `ClientCapabilities`) matters to a server, as a set of bits: two clients that can answer the
 * same may share a connection, and comparing costs nothing. What is not named here is not passed on: an unknown capability is one that nobody
 * has decided on.
 */
export type FeatureSet = number;

const FORM = 1;
const URL_MODE = 2;
const SAMPLING = 4;
const SAMPLING_TOOLS = 8;
const SAMPLING_CONTEXT = 16;
const ROOTS = 32;
const ROOTS_CHANGED = 64;
const MCP_TASKS = 128;

/** Everything that a server may ask a client for. */
const QUESTIONS = FORM | URL_MODE | SAMPLING | ROOTS;

/** Extension of the modern era: servers may answer a call with an McpTask. */
const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

const OF_FEATURE: Readonly<Record<ClientFeature, FeatureSet>> = {
  elicitation: FORM | URL_MODE,
  sampling: SAMPLING | SAMPLING_TOOLS | SAMPLING_CONTEXT,
  roots: ROOTS | ROOTS_CHANGED,
};

const OF_METHOD: Readonly<Record<Question['method'], FeatureSet>> = {
  'elicitation/create': FORM | URL_MODE,
  'sampling/createMessage': SAMPLING,
  'roots/list': ROOTS,
};

/** What a client declared. An `elicitation` without members means forms, as it did before there were modes. */
export function featuresOf(capabilities: JsonObject): FeatureSet {
  const { elicitation, sampling, roots, extensions } = capabilities;
  let set = 0;
  if (isJsonObject(elicitation)) {
    if (elicitation.url !== undefined) set |= URL_MODE;
    if (elicitation.form !== undefined || elicitation.url === undefined) set |= FORM;
  }
  if (isJsonObject(sampling)) {
    set |= SAMPLING;
    if (sampling.tools !== undefined) set |= SAMPLING_TOOLS;
    if (sampling.context !== undefined) set |= SAMPLING_CONTEXT;
  }
  if (isJsonObject(roots)) set |= roots.listChanged === true ? ROOTS | ROOTS_CHANGED : ROOTS;
  if (isJsonObject(extensions) && extensions[TASKS_EXTENSION] !== undefined) set |= MCP_TASKS;
  return set;
}

/** What an owner lets a connector's server ask for, and what needs no leave of theirs. */
export function allowedFeatures(allowed: readonly ClientFeature[]): FeatureSet {
  return allowed.reduce((set, feature) => set | OF_FEATURE[feature], MCP_TASKS);
}

/** The same as MCP `ClientCapabilities`. */
export function capabilitiesOf(set: FeatureSet): JsonObject {
  const elicitation = {
    ...((set & URL_MODE) !== 0 && { url: {}, ...((set & FORM) !== 0 && { form: {} }) }),
  };
  const sampling = {
    ...((set & SAMPLING_TOOLS) !== 0 && { tools: {} }),
    ...((set & SAMPLING_CONTEXT) !== 0 && { context: {} }),
  };
  return {
    ...((set & (FORM | URL_MODE)) !== 0 && { elicitation }),
    ...((set & SAMPLING) !== 0 && { sampling }),
    ...((set & ROOTS) !== 0 && { roots: (set & ROOTS_CHANGED) !== 0 ? { listChanged: true } : {} }),
    ...((set & MCP_TASKS) !== 0 && { extensions: { [TASKS_EXTENSION]: {} } }),
  };
}

export const asksNothing = (set: FeatureSet): boolean => (set & QUESTIONS) === 0;

export const hearsOfRoots = (set: FeatureSet): boolean => (set & ROOTS_CHANGED) !== 0;

/** Whether some question of this method can be answered. */
export const answersMethod = (set: FeatureSet, method: Question['method']): boolean => (set & OF_METHOD[method]) !== 0;

export function isQuestionMethod(method: unknown): method is Question['method'] {
  return typeof method === 'string' && Object.hasOwn(OF_METHOD, method);
}

/** What answering a question takes beyond what is in `set`; 0 when nothing is missing. */
export function missingFeatures(set: FeatureSet, method: Question['method'], params: JsonObject): FeatureSet {
  let needed = OF_METHOD[method];
  if (method === 'elicitation/create') needed = params.mode === 'url' ? URL_MODE : FORM;
  else if (params.tools !== undefined && method === 'sampling/createMessage') needed |= SAMPLING_TOOLS;
  return needed & ~set;
}

/** MissingRequiredClientCapability of 2026-07-28. */
export function missingCapability(missing: FeatureSet): RpcError {
  const requiredCapabilities = capabilitiesOf(missing);
  return {
    code: RPC.missingCapability,
    message: `the client has not declared: ${Object.keys(requiredCapabilities).join(', ')}`,
    data: { requiredCapabilities },
  };
}

/** What answers a modern client that uses McpTasks without having declared them; undefined when it has. */
export function undeclaredMcpTasks(capabilities: JsonObject): RpcError | undefined {
  return (featuresOf(capabilities) & MCP_TASKS) === 0 ? missingCapability(MCP_TASKS) : undefined;
}
