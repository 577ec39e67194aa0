import { OAuthRefusal } from './oauth-refusal.ts';

/** Parameters of a token request, as oidc-provider passes those that a grant registered. */
export type GrantParameters = Readonly<Record<string, unknown>>;

/**
 * Ways in which a client could try to name the user itself. They are registered only so that they are refused aloud: an
 * unregistered parameter is dropped in silence, and the agent would believe that it acts for that user.
 */
const USER_ASSERTIONS = [
  'requested_subject',
  'login_hint',
  'subject',
  'sub',
  'username',
  'user',
  'id_token_hint',
  'assertion',
];
const ACTOR = ['actor_token', 'actor_token_type'];
const SUBJECT = ['subject_token', 'subject_token_type', 'requested_token_type'];

export const TOKEN_TYPES = {
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
  idToken: 'urn:ietf:params:oauth:token-type:id_token',
} as const;

/** Every parameter that a grant reads or refuses; `audience` because RFC 8693 section 2.1 has it beside `resource`. */
export const GRANT_PARAMETERS: readonly string[] = [
  'scope',
  'resource',
  'audience',
  'authorization_details',
  ...SUBJECT,
  ...ACTOR,
  ...USER_ASSERTIONS,
];

/** What both grants refuse: a user that the agent names, an actor beside the client, scopes, another audience. */
export function checkCommonParameters(params: GrantParameters, resource: string): void {
  for (const name of USER_ASSERTIONS) {
    if (params[name] !== undefined) {
      throw new OAuthRefusal(
        'invalid_request',
        `${name} is not accepted: an agent cannot name its user; exchange the user's own token as subject_token`,
      );
    }
  }
  for (const name of ACTOR) {
    if (params[name] !== undefined) {
      throw new OAuthRefusal('invalid_request', `${name} is not accepted: the authenticated client is the actor`);
    }
  }
  if (params.scope !== undefined) {
    throw new OAuthRefusal('invalid_scope', 'scope is not used here: authorization_details says what the task needs');
  }
  if (params.audience !== undefined) {
    throw new OAuthRefusal('invalid_target', `audience is not used here: send resource=${resource}`);
  }
  checkResource(params.resource, resource);
}

/** RFC 8707: exactly one resource, and it is the gateway. */
function checkResource(given: unknown, resource: string): void {
  const [first, ...others] = Array.isArray(given) ? given : [given];
  if (first === undefined || others.length > 0) {
    throw new OAuthRefusal('invalid_target', `exactly one resource is required; allowed: ${resource}`);
  }
  if (!isSameUri(String(first), resource)) {
    throw new OAuthRefusal(
      'invalid_target',
      `resource '${String(first).slice(0, 200)}' is not this gateway; allowed: ${resource}`,
    );
  }
}

/** Equal but for what URL syntax makes equal (case of scheme and host, default port): MCP asks servers to be that robust. */
function isSameUri(given: string, resource: string): boolean {
  return given === resource || (URL.canParse(given) && new URL(given).href === new URL(resource).href);
}

/** client_credentials is for tasks without a user: a subject token belongs to the other grant. */
export function checkNoSubject(params: GrantParameters): void {
  for (const name of SUBJECT) {
    if (params[name] !== undefined) {
      throw new OAuthRefusal(
        'invalid_request',
        `${name} belongs to the token-exchange grant: use that grant type to act for a user`,
      );
    }
  }
}

/** @returns the subject token, its presence and declared types checked (RFC 8693 section 2.1) */
export function readSubjectToken(params: GrantParameters): string {
  const { subject_token: token, subject_token_type: type, requested_token_type: requested } = params;
  if (typeof token !== 'string') {
    throw new OAuthRefusal(
      'invalid_request',
      "subject_token is required: the user's own token; without a user use the client_credentials grant",
    );
  }
  const allowed: string[] = Object.values(TOKEN_TYPES);
  if (typeof type !== 'string' || !allowed.includes(type)) {
    throw new OAuthRefusal(
      'invalid_request',
      `subject_token_type is missing or not supported; allowed: ${allowed.join(', ')}`,
    );
  }
  if (requested !== undefined && requested !== TOKEN_TYPES.accessToken) {
    throw new OAuthRefusal(
      'invalid_request',
      `requested_token_type is not supported; allowed: ${TOKEN_TYPES.accessToken}`,
    );
  }
  return token;
}
