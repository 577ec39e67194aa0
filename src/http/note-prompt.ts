import type { IncomingMessage, ServerResponse } from 'node:http';
import { isJsonObject } from '../domain/json.ts';
import { readGivenPrompt } from '../domain/prompt.ts';
import { isRefused } from '../domain/refusal.ts';
import { readBody } from '../gateway/edge/read-body.ts';
import { parseStrictJson } from '../gateway/edge/strict-json.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { authenticate } from '../gateway/stages/authenticate.ts';
import { identityOf } from '../gateway/stages/record-intent.ts';
import { refuseCaller, respond } from './answers.ts';

const MAX_BODY_BYTES = 256 * 1024;

/**
 * An agent says which prompt the next calls of its task follow from: `{"prompt": "sha256:…"}`, or an object with `digest` or `text`; the token
 * says which task. Answered once it is durable, so that no call can come before it.
 */
export async function notePrompt(gateway: Gateway, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'POST') {
    request.resume();
    return respond(response, 405, { error: 'method_not_allowed' });
  }
  const caller = await authenticate(gateway, request.headers.authorization);
  if (isRefused(caller)) {
    request.resume();
    return refuseCaller(gateway, response, caller.refusal, 'task prompt');
  }
  const body = await readBody(request, MAX_BODY_BYTES);
  if ('problem' in body) return invalid(body.status, body.problem);
  const parsed = parseStrictJson(body.text);
  if ('problem' in parsed) return invalid(400, parsed.problem);
  const said = isJsonObject(parsed.value) ? parsed.value : {};
  const given = readGivenPrompt(said.prompt);
  if (given === undefined) return invalid(400, 'prompt is no digest (sha256:…) and no object with digest or text');
  if (gateway.prompts === undefined) {
    if ('text' in given) gateway.flow.notePrompt(caller.task, given.text);
    return respond(response, 200, { task: caller.task.id, recorded: false });
  }
  const isTaken = await gateway.prompts.note(identityOf(caller), given, {
    source: 'hook',
    ...(typeof said.session === 'string' && { session: said.session }),
    ...(typeof said.id === 'string' && { clientPromptId: said.id }),
  });
  if (!isTaken) return respond(response, 429, { error: 'too_many_prompts' });
  if ('text' in given) gateway.flow.notePrompt(caller.task, given.text);
  respond(response, 200, { task: caller.task.id, recorded: true });

  function invalid(status: number, description: string): void {
    respond(response, status, { error: 'invalid_request', error_description: description });
  }
}
