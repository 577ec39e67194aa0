import { isRemitError } from '../../domain/errors.ts';
import type { TaskRefusal, TaskRefusalCode } from '../../tasks/task-refusal.ts';

/** Error codes of the token endpoint: RFC 6749 section 5.2, RFC 8707 section 2, RFC 9396 section 5. */
export type OAuthErrorCode =
  | 'access_denied'
  | 'invalid_authorization_details'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_request'
  | 'invalid_scope'
  | 'invalid_target'
  | 'temporarily_unavailable';

/**
 * A refusal on its way to the client through oidc-provider, whose error handler renders whatever is thrown and carries
 * `expose`, `statusCode`, `message` and `error_description`. An exception only because that is the library's contract.
 */
export class OAuthRefusal extends Error {
  readonly expose = true;
  readonly statusCode: number;
  readonly error_description: string;

  constructor(code: OAuthErrorCode, description: string) {
    super(code);
    this.name = 'OAuthRefusal';
    this.statusCode = code === 'invalid_client' ? 401 : code === 'temporarily_unavailable' ? 503 : 400;
    this.error_description = toDescription(description);
  }
}

const LONGEST = 600;

/** Keeps to the characters that RFC 6749 section 5.2 allows: printable ASCII without `"` and `\`. */
export function toDescription(text: string): string {
  const plain = text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replaceAll(/[^\x20-\x7e]/g, '?');
  return plain.length > LONGEST ? `${plain.slice(0, LONGEST - 3)}...` : plain;
}

const CODES: Readonly<Record<TaskRefusalCode, OAuthErrorCode>> = {
  unknown_template: 'invalid_authorization_details',
  widening: 'invalid_authorization_details',
  malformed: 'invalid_authorization_details',
  agent_not_allowed: 'access_denied',
  user_required: 'access_denied',
  too_many_tasks: 'access_denied',
  not_found: 'invalid_grant',
  ended: 'invalid_grant',
  suspended: 'access_denied',
  budget_exhausted: 'invalid_grant',
};

export function toOAuthRefusal(refusal: TaskRefusal): OAuthRefusal {
  return new OAuthRefusal(CODES[refusal.refused], refusal.reason);
}

/** Runs `work`; a store or journal that cannot serve becomes a refusal that the client may retry, and nothing leaks. */
export async function orUnavailable<T>(work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isRemitError(error) && /^ERR_(STORE|JOURNAL)_/.test(error.code)) {
      throw new OAuthRefusal('temporarily_unavailable', 'the gateway cannot record this request now; try again later');
    }
    throw error;
  }
}
