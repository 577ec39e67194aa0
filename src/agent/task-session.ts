import { randomUUID } from 'node:crypto';
import { importJWK, type JWK, SignJWT } from 'jose';
import { request } from 'undici';
import { messageOf, RemitError } from '../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { GivenPrompt } from '../domain/prompt.ts';

/** What an agent declares; everything but the template may be left to the template. Of a child `parent` stands in its place. */
export interface Declaration {
  readonly template?: string;
  readonly parent?: string;
  readonly purpose?: string;
  readonly actions?: readonly string[];
  readonly tools?: readonly string[];
  readonly resources?: readonly string[];
  readonly budget?: { readonly calls: number };
  readonly duration_seconds?: number;
  readonly prompt?: GivenPrompt;
}

export interface TaskSessionOptions {
  /** The gateway's base URL, for example `http://127.0.0.1:7420`. */
  readonly gateway: string;
  readonly agent: string;
  readonly key: JWK;
  /** A task to go on with, or a new one to declare. */
  readonly task: { readonly continue: string } | { readonly declare: Declaration };
  /** The user's own token, if the work is on a user's behalf (RFC 8693 `subject_token`). */
  readonly subjectToken?: string;
  readonly clock: () => number;
}

/** The client's own ids, for the record. */
export interface PromptContext {
  readonly session?: string;
  readonly id?: string;
}

export interface GrantedTask {
  readonly task: string;
  readonly purpose: string;
  readonly expires_at: number;
  readonly [field: string]: unknown;
}

/** An agent's side of one task: proves who it is, holds the task token, refreshes it, ends the task. */
export interface TaskSession {
  readonly granted: GrantedTask;
  /** A token with at least a minute left (or as much as the task has). One refresh at a time. */
  token(): Promise<string>;
  /** Forces a new token, for example after a 401. */
  refresh(): Promise<string>;
  /** Says which prompt the next calls follow from. @throws `ERR_GATEWAY_UNREACHABLE` when the gateway does not take it */
  notePrompt(prompt: GivenPrompt, about: PromptContext): Promise<void>;
  /** Ends the task at the gateway; its credentials are revoked. */
  end(): Promise<void>;
  readonly mcpUrl: string;
}

const REFRESH_BEFORE_MS = 60_000;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

interface TokenAnswer {
  readonly access_token: string;
  readonly expires_in: number;
  readonly authorization_details: readonly GrantedTask[];
}

/** Starts (or goes on with) a task. @throws `ERR_TASK_REFUSED`, `ERR_TOKEN_REFUSED`, `ERR_GATEWAY_UNREACHABLE` */
export async function openTaskSession(options: TaskSessionOptions): Promise<TaskSession> {
  const base = options.gateway.replace(/\/+$/, '');
  const mcpUrl = `${base}/mcp`;
  const key = await importJWK(options.key, 'ES256');

  const resource = await getJson(`${base}/.well-known/oauth-protected-resource/mcp`);
  const issuer = (resource.authorization_servers as string[])[0] as string;
  const metadata = await getJson(`${issuer}/.well-known/oauth-authorization-server`);

  async function assertion(): Promise<string> {
    const now = Math.floor(options.clock() / 1000);
    return new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', ...(options.key.kid !== undefined && { kid: options.key.kid }) })
      .setIssuer(options.agent)
      .setSubject(options.agent)
      .setAudience(issuer)
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setExpirationTime(now + 60)
      .sign(key);
  }

  async function requestToken(details: object, subjectToken: string | undefined): Promise<TokenAnswer> {
    const form = new URLSearchParams({
      grant_type: subjectToken === undefined ? 'client_credentials' : EXCHANGE,
      client_id: options.agent,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await assertion(),
      resource: resource.resource as string,
      authorization_details: JSON.stringify([{ type: 'remit_task', ...details }]),
      ...(subjectToken !== undefined && {
        subject_token: subjectToken,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      }),
    });
    const answer = await send(metadata.token_endpoint as string, 'POST', form.toString(), {
      'content-type': 'application/x-www-form-urlencoded',
    });
    if (answer.status === 200) return answer.body as unknown as TokenAnswer;
    const error = String(answer.body.error ?? `HTTP ${answer.status}`);
    const why = String(answer.body.error_description ?? 'no description');
    if (error === 'temporarily_unavailable') {
      throw new RemitError('ERR_GATEWAY_UNREACHABLE', `the gateway cannot serve at the moment: ${why}`, {
        where: metadata.token_endpoint as string,
        hint: 'Try again; if it persists, `remit doctor` on the gateway’s machine says which part of it is at fault.',
      });
    }
    const isAboutTask = error === 'invalid_authorization_details' || error === 'access_denied';
    throw new RemitError(
      isAboutTask ? 'ERR_TASK_REFUSED' : 'ERR_TOKEN_REFUSED',
      `the gateway refused: ${error}: ${why}`,
      {
        where: metadata.token_endpoint as string,
        hint:
          error === 'invalid_client'
            ? 'The agent’s key does not match the one registered; check --agent, --key and the agent’s publicKeys.'
            : 'Declare a task that lies within one of the agent’s templates; `remit who-can` lists them.',
      },
    );
  }

  const first =
    'continue' in options.task
      ? await requestToken({ task: options.task.continue }, undefined)
      : await requestToken(options.task.declare, options.subjectToken);
  const granted = first.authorization_details[0] as GrantedTask;
  let current = first;
  let expiresAt = options.clock() + first.expires_in * 1000;
  let refreshing: Promise<string> | undefined;

  function accept(answer: TokenAnswer): string {
    current = answer;
    expiresAt = options.clock() + answer.expires_in * 1000;
    return answer.access_token;
  }

  function refresh(): Promise<string> {
    refreshing ??= requestToken({ task: granted.task }, undefined)
      .then(accept)
      .finally(() => {
        refreshing = undefined;
      });
    return refreshing;
  }

  return {
    granted,
    mcpUrl,
    token: async () => (expiresAt - options.clock() > REFRESH_BEFORE_MS ? current.access_token : refresh()),
    refresh,
    async notePrompt(prompt, about) {
      const body = JSON.stringify({ prompt, ...about });
      const post = async (token: string) =>
        send(`${base}/task/prompt`, 'POST', body, {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
        });
      let answer = await post(current.access_token);
      if (answer.status === 401) answer = await post(await refresh());
      if (answer.status !== 200) {
        throw new RemitError('ERR_GATEWAY_UNREACHABLE', `the gateway did not take the prompt (HTTP ${answer.status})`, {
          where: base,
          hint: 'Calls go on without it; look at the gateway’s log.',
        });
      }
    },
    async end() {
      const answer = await send(`${base}/task/end`, 'POST', '', { authorization: `Bearer ${current.access_token}` });
      // 401: it had ended already, which is what was wanted.
      if (answer.status !== 200 && answer.status !== 401) {
        throw new RemitError('ERR_GATEWAY_UNREACHABLE', `the gateway did not end the task (HTTP ${answer.status})`, {
          where: base,
          hint: `The task ends by itself at its expiry; \`remit task end ${granted.task}\` ends it now.`,
        });
      }
    },
  };
}

async function getJson(url: string): Promise<Record<string, unknown>> {
  const answer = await send(url, 'GET', undefined, {});
  if (answer.status !== 200) {
    throw new RemitError('ERR_GATEWAY_UNREACHABLE', `no gateway answers at ${url} (HTTP ${answer.status})`, {
      where: url,
      hint: 'Check the URL; `remit up` prints the right one.',
    });
  }
  return answer.body;
}

async function send(url: string, method: 'GET' | 'POST', body: string | undefined, headers: Record<string, string>) {
  try {
    const response = await request(url, {
      method,
      headers,
      ...(body !== undefined && { body }),
      headersTimeout: 20_000,
      bodyTimeout: 20_000,
    });
    const text = await response.body.text();
    return { status: response.statusCode, body: parseObject(text) };
  } catch (cause) {
    throw new RemitError('ERR_GATEWAY_UNREACHABLE', `the gateway cannot be reached: ${messageOf(cause)}`, {
      where: url,
      hint: 'Start it with `remit up`, or name another with --url.',
      cause,
    });
  }
}

function parseObject(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}
