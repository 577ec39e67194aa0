import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TaskId } from '../domain/ids.ts';
import type { Passed } from '../domain/node.ts';
import { isRefused, type Refusal } from '../domain/refusal.ts';
import { barredAnswer } from '../gateway/edge/barred-answer.ts';
import { readBody } from '../gateway/edge/read-body.ts';
import type { Challenge } from '../gateway/edge/render.ts';
import { sendAnswer } from '../gateway/edge/send-answer.ts';
import type { Located } from '../nodes/placement.ts';
import type { Authenticator } from '../seams/authenticator.ts';
import type { Clock, Schedule } from '../seams/clock.ts';
import { respond } from './answers.ts';

/** Passes a request on to another node as it is. Never throws. */
export type PassOn = (
  request: IncomingMessage,
  response: ServerResponse,
  to: { readonly address: string; readonly body: string | undefined; readonly by: 'node' | 'self' },
) => Promise<Passed>;

export interface RelayParts {
  readonly authenticator: Authenticator;
  /** Whether the task is this node's, suspended or not: from memory. */
  readonly isHere: (task: TaskId) => boolean;
  readonly locate: (task: TaskId) => Promise<Located>;
  readonly misplaced: (task: TaskId) => void;
  readonly passOn: PassOn;
  /** This node, for what has been read here and turns out to be its own. */
  readonly ownAddress: string;
  readonly challenge: Challenge;
  readonly maxBodyBytes: number;
  readonly monotonic: Clock;
  readonly schedule: Schedule;
}

export interface Relay {
  /** Whether the task that a token names is this node's, as far as can be said without waiting. */
  isHere(authorization: string | undefined): boolean;
  /** For requests that name their task by its token. @returns whether it was answered here: if not, this node serves it */
  byToken(request: IncomingMessage, response: ServerResponse): boolean | Promise<boolean>;
  /** The node stops: what others pass on from now on is sent back, and nothing of it done. */
  retire(): void;
  /** For those of the token endpoint that go on with a task, or start one below it. */
  byDetails(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

/** Says that a node has passed it on, another (`node`) or this one (`self`), and so that it must not be passed on once more. An agent that sends it harms itself alone. */
export const RELAYED = 'remit-relayed';

/** RFC 9110 section 15.5.20: by whom nothing was done, as the request was another's. */
export const MISDIRECTED = 421;

/** So long a request waits for who goes on with the task of a node that is lost. */
const WAIT_MS = 10_000;
const RETRY_MS = 200;

const LATE: Refusal = {
  kind: 'unavailable',
  code: 'ERR_BUSY',
  reason: 'the gateway that serves this task cannot be reached',
  nextStep: 'Nothing was sent. Try again in a few seconds.',
  isForwarded: false,
};

const UNKNOWN: Refusal = {
  kind: 'unavailable',
  code: 'ERR_CONNECTOR_UNREACHABLE',
  reason: 'the gateway that serves this task was lost before it answered: whether the call was made is not known',
  nextStep: 'Look whether it was made before you make it again.',
  isForwarded: true,
};

/**
 * Any node serves any client: what is about another node's task goes there as it is, and is proven there anew. What was sent once is never sent again. Nothing of the hop is trusted.
 */
export function createRelay(parts: RelayParts): Relay {
  const { authenticator, isHere, locate, misplaced, passOn, challenge, maxBodyBytes } = parts;
  const { monotonic, schedule } = parts;

  let isRetired = false;

  const pause = (): Promise<void> => new Promise((resolve) => void schedule(RETRY_MS, resolve));

  /** Of what another node has passed on: it is this node's, or nobody's whom this one could name. */
  async function takeRelayed(task: TaskId, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const located = await locate(task).catch(() => undefined);
    if (located === 'here' || located === 'nowhere') return false;
    sendBack(request, response);
    return true;
  }

  function sendBack(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    respond(response, MISDIRECTED, { error: 'misdirected_request' });
  }

  async function elsewhere(task: TaskId, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const first = await locate(task).catch(() => undefined);
    if (first === 'here' || first === 'nowhere') return false;
    const until = monotonic() + WAIT_MS;
    const isPost = request.method === 'POST';
    const read = isPost ? await readBody(request, maxBodyBytes) : undefined;
    if (read !== undefined && 'problem' in read) {
      respond(response, read.status, { error: 'invalid_request', error_description: read.problem });
      return true;
    }
    const body = read?.text;
    await send(task, first, until, request, response, body);
    return true;
  }

  async function send(
    task: TaskId,
    first: Located | undefined,
    until: number,
    request: IncomingMessage,
    response: ServerResponse,
    body: string | undefined,
  ): Promise<void> {
    let located = first;
    for (;;) {
      // What has been read cannot be read again here: it comes back by the port, like from another node.
      const address = located === undefined ? '' : typeof located === 'string' ? parts.ownAddress : located.address;
      const passed =
        address === ''
          ? 'not_sent'
          : await passOn(request, response, { address, body, by: address === parts.ownAddress ? 'self' : 'node' });
      if (passed === 'answered' || response.destroyed) return;
      if (passed === 'unknown') return refuse(request, response, body, UNKNOWN);
      misplaced(task);
      if (monotonic() >= until) return refuse(request, response, body, LATE);
      await pause();
      located = await locate(task).catch(() => undefined);
    }
  }

  function refuse(
    request: IncomingMessage,
    response: ServerResponse,
    body: string | undefined,
    refusal: Refusal,
  ): void {
    if (response.headersSent) response.destroy();
    else sendAnswer(response, barredAnswer(refusal, request, body, challenge));
  }

  async function byPrincipal(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const principal = await authenticator.authenticate(request.headers.authorization);
    return isRefused(principal) ? false : await route(principal.task, request, response);
  }

  async function route(task: TaskId, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    if (isHere(task)) return false;
    const isRelayed = request.headers[RELAYED] !== undefined;
    return isRelayed ? await takeRelayed(task, request, response) : await elsewhere(task, request, response);
  }

  return {
    retire() {
      isRetired = true;
    },

    isHere(authorization) {
      const principal = authenticator.authenticate(authorization);
      return !(principal instanceof Promise) && !isRefused(principal) && isHere(principal.task);
    },

    byToken(request, response) {
      if (isRetired && request.headers[RELAYED] === 'node') {
        sendBack(request, response);
        return true;
      }
      const principal = authenticator.authenticate(request.headers.authorization);
      if (principal instanceof Promise) return byPrincipal(request, response);
      if (isRefused(principal) || isHere(principal.task)) return false;
      return route(principal.task, request, response);
    },

    async byDetails(request, response) {
      if (request.method !== 'POST') return false;
      if (request.headers[RELAYED] !== undefined) {
        const isSentBack = isRetired && request.headers[RELAYED] === 'node';
        if (isSentBack) sendBack(request, response);
        return isSentBack;
      }
      const read = await readBody(request, MAX_FORM_BYTES);
      if ('problem' in read) {
        respond(response, read.status, { error: 'invalid_request', error_description: read.problem });
        return true;
      }
      const task = taskNamed(read.text);
      const located = task === undefined || isHere(task) ? 'here' : await locate(task).catch(() => undefined);
      await send(task ?? NO_TASK, located, monotonic() + WAIT_MS, request, response, read.text);
      return true;
    },
  };
}

const MAX_FORM_BYTES = 128 * 1024;
const NO_TASK = '' as TaskId;

/** Only where to look: what the request may do is read by who serves it. */
function taskNamed(form: string): TaskId | undefined {
  const details = new URLSearchParams(form).get('authorization_details');
  const named = details === null ? null : /"(?:task|parent)"\s*:\s*"(tsk_[0-9a-z]{24})"/.exec(details);
  return named === null ? undefined : (named[1] as TaskId);
}
