import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { askJson, secondsOf, textOf } from '../clouds/ask-json.ts';
import {
  accepted,
  CLOUD_PLATFORM,
  formRequest,
  type GoogleAccount,
  type GoogleToken,
  googleToken,
} from '../clouds/google-token.ts';
import { serviceAddress } from '../clouds/service-address.ts';
import { accessBoundary, type GcpRule } from './gcp-boundary.ts';
import { issueFault, orAbort } from './issuer-faults.ts';

export interface GcpIssuerOptions extends GoogleAccount {
  /** Security Token Service: `https://sts.googleapis.com/v1/token`. */
  readonly stsUrl: string;
  /** IAM credentials: `https://iamcredentials.googleapis.com`. */
  readonly iamUrl: string;
  /** Service account that is impersonated: its tokens may be as short as a lease. Undefined: those of the key's own last an hour. */
  readonly impersonate: string | undefined;
  readonly rules: readonly GcpRule[];
  readonly close: () => Promise<void>;
}

const OWN_TOKEN_SECONDS = 3_600;
const ROUNDING_MS = 1_000;
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/**
 * A downscoped access token per lease: a service account's, exchanged for one with a credential access boundary of the task's objects. Google
 * revokes none (`expiry_only`, guarantee L7). Its life is that of the token it was exchanged for.
 */
export function createGcpIssuer(options: GcpIssuerOptions): Issuer {
  const { impersonate, rules, fetch, clock } = options;
  const stsUrl = serviceAddress(options.stsUrl, 'credential.gcp.endpoints.sts');
  const iamUrl = serviceAddress(options.iamUrl, 'credential.gcp.endpoints.iamCredentials');
  const minTtlSeconds = impersonate === undefined ? OWN_TOKEN_SECONDS : 1;

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { expiresAt, signal } = request;
    const boundary = accessBoundary(rules, request);
    const startedAt = clock();
    const seconds = Math.floor((expiresAt - startedAt) / 1000);
    if (seconds < 1) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    const latest = Math.max(expiresAt, startedAt + minTtlSeconds * 1000);
    const own = await googleToken(options, CLOUD_PLATFORM, signal);
    const source = impersonate === undefined ? own : await tokenOf(impersonate, own.token, seconds, signal);
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: source.token.reveal(),
      subject_token_type: ACCESS_TOKEN,
      requested_token_type: ACCESS_TOKEN,
      options: boundary.text,
    };
    const answer = accepted(await askJson(fetch, stsUrl, formRequest(form, signal)));
    // Left out where the token that was exchanged says it: then it is that one's.
    const told = answer.expires_in === undefined ? source.endsAt : clock() + secondsOf(answer, 'expires_in') * 1000;
    const endsAt = Math.max(told, source.endsAt);
    // Google's clock began to count somewhere between sending and receiving.
    if (endsAt > latest + ROUNDING_MS + (clock() - startedAt)) {
      throw new RemitError(
        'ERR_CREDENTIAL_ISSUE',
        `a token for ${seconds} s was asked for, and one until ${new Date(endsAt).toISOString()} given`,
      );
    }
    return {
      fields: { token: new Secret(textOf(answer, 'access_token')) },
      scope: boundary.summary.slice(0, 1_000),
      nativeExpiresAt: Math.min(endsAt, latest),
    };
  }

  /** `generateAccessToken`: the account's own life, as long as it is asked for. */
  async function tokenOf(account: string, own: Secret, seconds: number, signal: AbortSignal): Promise<GoogleToken> {
    const answer = accepted(
      await askJson(
        fetch,
        `${iamUrl}/v1/projects/-/serviceAccounts/${encodeURIComponent(account)}:generateAccessToken`,
        {
          method: 'POST',
          headers: { Authorization: `Bearer ${own.reveal()}`, 'Content-Type': 'application/json' },
          body: JSON.stringify({ scope: [CLOUD_PLATFORM], lifetime: `${seconds}s` }),
          signal,
        },
      ),
    );
    const endsAt = Date.parse(textOf(answer, 'expireTime'));
    if (Number.isNaN(endsAt)) throw new Error('the answer has no expireTime');
    return { token: new Secret(textOf(answer, 'accessToken')), endsAt };
  }

  return {
    kind: 'gcp',
    downstream: impersonate ?? `Cloud Storage ${[...new Set(rules.map(({ bucket }) => bucket))].join(', ')}`,
    minTtlSeconds,
    revocation: 'expiry_only',
    async issue(request) {
      try {
        return await orAbort(issue(request), request.signal, ({ fields }) => fields.token?.wipe());
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: 'credential.gcp',
          what: 'no downscoped token was given',
          hint: 'See that the key is one of a service account, that it may be used, and that it may create tokens for the one it impersonates.',
        });
      }
    },
    // Google has nothing that would end one token.
    revoke: async () => {},
    close: () => options.close(),
  };
}
