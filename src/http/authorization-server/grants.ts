import type { Provider, TokenEndpointGrantContext } from 'oidc-provider';
import { type AgentId, agentId, type TaskId } from '../../domain/ids.ts';
import type { User } from '../../domain/principal.ts';
import type { Task } from '../../domain/task.ts';
import type { Clock } from '../../seams/clock.ts';
import { isTaskRefusal, type TaskRefusal } from '../../tasks/task-refusal.ts';
import type { StartChild, StartTask } from '../../tasks/task-registry.ts';
import { CLIENT_CREDENTIALS, TOKEN_EXCHANGE } from './agent-clients.ts';
import { readTaskRequest, toGrantedTask } from './authorization-details.ts';
import {
  checkCommonParameters,
  checkNoSubject,
  GRANT_PARAMETERS,
  readSubjectToken,
  TOKEN_TYPES,
} from './grant-parameters.ts';
import { OAuthRefusal, orUnavailable, toOAuthRefusal } from './oauth-refusal.ts';
import { type TaskTokenClaims, toClaims } from './task-token.ts';

/** A user whom an identity provider vouched for, or why not. `unavailable`: the provider could not be asked. */
export type SubjectVerdict =
  | { readonly user: User; readonly mayAct: string | undefined }
  | { readonly refused: string; readonly reason: string };

export interface IssuedToken {
  readonly task: Task;
  readonly tokenId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Thumbprint of the key that the agent authenticated with. */
  readonly clientThumbprint: string | undefined;
}

export interface GrantServices {
  readonly issuer: string;
  readonly resource: string;
  readonly tokenSeconds: number;
  readonly clock: Clock;
  /** Starts a task; durable before it answers. */
  readonly startTask: (request: StartTask | StartChild) => Promise<Task | TaskRefusal>;
  /** The running task of this very agent; another agent's is `not_found`, like one that does not exist. */
  readonly continueTask: (request: {
    agent: AgentId;
    task: TaskId;
  }) => Promise<Task | TaskRefusal> | Task | TaskRefusal;
  readonly verifySubjectToken: (token: string) => Promise<SubjectVerdict>;
  /** Makes the issue durable in the audit log before the token leaves. */
  readonly onTokenIssued?: (issued: IssuedToken) => Promise<void>;
}

type Context = TokenEndpointGrantContext;

/** What the rest of one provider instance shares with its grant handlers. */
export interface GrantState {
  /** Key of the provider's key set that signs. */
  readonly kid: string;
  /** Claims of a token that is about to be signed, by the library's token object. */
  readonly claims: WeakMap<object, Omit<TaskTokenClaims, 'jti'>>;
  /** Thumbprint of the key that authenticated the client, by request. */
  readonly thumbprints: WeakMap<object, string>;
}

/** Registers both grants; `client_credentials` replaces the library's own. */
export function registerGrants(provider: Provider, services: GrantServices, state: GrantState): void {
  // `resource` may come twice, so that a list of resources meets our own refusal, which says which one is allowed.
  provider.registerGrantType(
    TOKEN_EXCHANGE,
    async (ctx) => {
      const { params } = ctx.oidc;
      checkCommonParameters(params, services.resource);
      const subjectToken = readSubjectToken(params);
      const asked = readTaskRequest(params.authorization_details, services.resource);
      if (!('declare' in asked)) {
        throw new OAuthRefusal(
          'invalid_authorization_details',
          'authorization_details[0]: a running task, and one below it, belong to the client_credentials grant: the user of a task is fixed at its start',
        );
      }
      const agent = agentId(ctx.oidc.client.clientId);
      const user = await verifySubject(services, agent, subjectToken);
      const task = await orUnavailable(() => services.startTask({ agent, user, declaration: asked.declare }));
      await answer(ctx, task, { issued_token_type: TOKEN_TYPES.accessToken });
    },
    GRANT_PARAMETERS,
    'resource',
  );

  provider.registerGrantType(
    CLIENT_CREDENTIALS,
    async (ctx) => {
      const { params } = ctx.oidc;
      checkCommonParameters(params, services.resource);
      checkNoSubject(params);
      const asked = readTaskRequest(params.authorization_details, services.resource);
      const agent = agentId(ctx.oidc.client.clientId);
      const task = await orUnavailable(() =>
        'continue' in asked
          ? services.continueTask({ agent, task: asked.continue })
          : 'parent' in asked
            ? services.startTask({ agent, parent: asked.parent, declaration: asked.declareChild })
            : services.startTask({ agent, user: undefined, declaration: asked.declare }),
      );
      await answer(ctx, task, {});
    },
    GRANT_PARAMETERS,
    'resource',
  );

  async function answer(ctx: Context, task: Task | TaskRefusal, more: Record<string, unknown>): Promise<void> {
    if (isTaskRefusal(task)) throw toOAuthRefusal(task);
    const { client } = ctx.oidc;
    if (task.agent !== client.clientId) throw new Error('the task given for a token is not of the client');
    const clientThumbprint = state.thumbprints.get(ctx);
    const claims = toClaims(task, { ...services, now: services.clock(), clientThumbprint });
    const expiresIn = claims.exp - claims.iat;
    if (expiresIn < 1) throw new OAuthRefusal('invalid_grant', `task '${task.id}' has expired: declare a new one`);

    const resourceServer = new provider.ResourceServer(services.resource, {
      scope: '',
      audience: services.resource,
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: 'ES256', kid: state.kid } },
    });
    // oidc-provider signs; `customizeToken` puts our claims in place of its own. Its models differ in what `sub` is:
    // ClientCredentials has the client, AccessToken the account. Neither is stored, being a JWT.
    const common = { client, resourceServer, expiresIn };
    const token =
      task.user === undefined
        ? new provider.ClientCredentials(common)
        : new provider.AccessToken({ ...common, accountId: task.user.subject, grantId: task.id, gty: TOKEN_EXCHANGE });
    state.claims.set(token, claims);
    const accessToken = await token.save();
    await orUnavailable(() =>
      services.onTokenIssued?.({ task, tokenId: token.jti, expiresAt: claims.exp * 1000, clientThumbprint }),
    );
    ctx.body = {
      access_token: accessToken,
      ...more,
      token_type: 'Bearer',
      expires_in: expiresIn,
      authorization_details: [toGrantedTask(task)],
    };
  }
}

/** Replaces the claims that oidc-provider would sign by ours; `jti` is the library's. */
export function customizeToken(
  state: GrantState,
  token: { readonly jti: string },
  parts: { payload: Record<string, unknown> },
): void {
  const claims = state.claims.get(token);
  if (claims === undefined) throw new Error('only task tokens are issued here');
  parts.payload = { ...claims, jti: token.jti };
}

async function verifySubject(services: GrantServices, agent: AgentId, token: string): Promise<User> {
  const verdict = await services.verifySubjectToken(token);
  if ('refused' in verdict) {
    // RFC 8693 section 2.2.2: an invalid or unacceptable subject token is `invalid_request`.
    throw new OAuthRefusal(
      verdict.refused === 'unavailable' ? 'temporarily_unavailable' : 'invalid_request',
      `subject_token: ${verdict.reason}`,
    );
  }
  // RFC 8693 section 4.4: the subject token itself may say who may act for its user.
  if (verdict.mayAct !== undefined && verdict.mayAct !== agent) {
    throw new OAuthRefusal('access_denied', `subject_token: its may_act claim does not name agent '${agent}'`);
  }
  return verdict.user;
}
