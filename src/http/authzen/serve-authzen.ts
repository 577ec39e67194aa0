import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Secret } from '../../domain/secret.ts';
import { readBody } from '../../gateway/edge/read-body.ts';
import { parseStrictJson } from '../../gateway/edge/strict-json.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import { respond } from '../answers.ts';
import { type Evaluated, evaluate } from './evaluate.ts';
import { type EvaluationReading, readEvaluation } from './read-evaluation.ts';

export const AUTHZEN_PATHS = {
  evaluation: '/access/v1/evaluation',
  evaluations: '/access/v1/evaluations',
  configuration: '/.well-known/authzen-configuration',
} as const;

/** Who may ask for decisions. */
export interface AuthZen {
  /** Base URL of the gateway. */
  readonly url: string;
  readonly points: readonly { readonly name: string; readonly token: Secret }[];
}

const MAX_BODY_BYTES = 1024 * 1024;
const MOST_EVALUATIONS = 100;
const SEMANTICS = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const;
type Semantic = (typeof SEMANTICS)[number];

type Said = { readonly decision: boolean; readonly context: object };

/** The AuthZEN Authorization API 1.0, for registered enforcement points: sections 6 and 7, and the metadata of section 9. */
export async function serveAuthZen(
  { url, points }: AuthZen,
  gateway: Gateway,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const id = request.headers['x-request-id'];
  // Section 10.1.4: what it came with is what it goes with.
  if (typeof id === 'string' && /^[\x21-\x7e]{1,128}$/.test(id)) response.setHeader('X-Request-ID', id);
  const wanted = path === AUTHZEN_PATHS.configuration ? 'GET' : 'POST';
  if (request.method !== wanted) {
    request.resume();
    response.setHeader('Allow', wanted);
    return respond(response, 405, { error: 'method_not_allowed' });
  }
  if (path === AUTHZEN_PATHS.configuration) {
    return respond(response, 200, {
      policy_decision_point: url,
      access_evaluation_endpoint: `${url}${AUTHZEN_PATHS.evaluation}`,
      access_evaluations_endpoint: `${url}${AUTHZEN_PATHS.evaluations}`,
    });
  }
  const by = findPoint(points, request.headers.authorization);
  if (by === undefined) {
    request.resume();
    gateway.recordRefusal({ at: 'authzen', reason: 'no token of an enforcement point' });
    response.setHeader('WWW-Authenticate', 'Bearer realm="remit"');
    return respond(response, 401, { error: 'invalid_token' });
  }
  const body = await readBody(request, MAX_BODY_BYTES);
  if ('problem' in body) return respond(response, body.status, { error: body.problem });
  const parsed = parseStrictJson(body.text);
  if ('problem' in parsed) return respond(response, 400, { error: parsed.problem });
  if (!isJsonObject(parsed.value)) return respond(response, 400, { error: 'the body is no object' });
  const { evaluations } = parsed.value;
  if (path === AUTHZEN_PATHS.evaluations && evaluations !== undefined) return answerMany(parsed.value, evaluations);
  const read = readEvaluation(parsed.value);
  if ('problem' in read) return respond(response, 400, { error: read.problem });
  respond(response, 200, await answerOne(read));

  async function answerMany(all: JsonObject, listed: unknown): Promise<void> {
    const semantic = semanticOf(all.options);
    if (semantic === undefined) return respond(response, 400, { error: 'evaluations_semantic is not known' });
    if (!Array.isArray(listed) || listed.length === 0 || listed.length > MOST_EVALUATIONS) {
      return respond(response, 400, { error: `evaluations is a list of 1 to ${MOST_EVALUATIONS}` });
    }
    const said: Said[] = [];
    for (const one of listed) {
      // Section 7.1: what the request says at its top holds for each, unless that one says its own.
      const { subject, action, resource, context } = all;
      const asked = isJsonObject(one) ? { subject, action, resource, context, ...one } : {};
      const answer = await answerOne(readEvaluation(asked));
      said.push(answer);
      if (semantic === 'deny_on_first_deny' && !answer.decision) break;
      if (semantic === 'permit_on_first_permit' && answer.decision) break;
    }
    respond(response, 200, { evaluations: said });
  }

  async function answerOne(read: EvaluationReading): Promise<Said> {
    if ('problem' in read) return { decision: false, context: { error: { status: 400, message: read.problem } } };
    return sayOf(await evaluate(gateway, by as string, read.evaluation));
  }
}

/** A hold is no permit: it is for people, who are asked when it is called. */
function sayOf({ verdict, gate, policies, reason, nextStep, policyVersion }: Evaluated): Said {
  return {
    decision: verdict === 'permit',
    context: {
      verdict,
      reason_user: { en: reason },
      reason_admin: { en: `${gate}: ${policies.join(', ') || 'no policy'}` },
      ...(nextStep !== undefined && { next_step: nextStep }),
      ...(policyVersion !== undefined && { policy_version: policyVersion }),
    },
  };
}

function semanticOf(options: unknown): Semantic | undefined {
  const { evaluations_semantic: wanted = 'execute_all' } = isJsonObject(options) ? options : {};
  return SEMANTICS.find((one) => one === wanted);
}

/** By comparing digests: how long it takes says nothing of the token. */
function findPoint(points: AuthZen['points'], authorization = ''): string | undefined {
  const [, shown = ''] = /^Bearer ([^\s]{1,4096})$/i.exec(authorization) ?? [];
  const digest = hash('sha256', shown, 'buffer');
  let found: string | undefined;
  for (const { name, token } of points) {
    if (timingSafeEqual(digest, hash('sha256', token.reveal(), 'buffer'))) found = name;
  }
  return shown === '' ? undefined : found;
}
