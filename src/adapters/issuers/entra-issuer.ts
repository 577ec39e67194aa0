import { createHash, X509Certificate } from 'node:crypto';
import { type CryptoKey, importPKCS8, SignJWT } from 'jose';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { askJson, type Fetch, ServiceRefusal, secondsOf, textOf } from '../clouds/ask-json.ts';
import { serviceAddress } from '../clouds/service-address.ts';
import { asksForNothing, chooseRule, type RightsRule } from './choose-rule.ts';
import { issueFault, orAbort } from './issuer-faults.ts';

/** A resource (an API), and what it is asked for. */
export interface EntraRule extends RightsRule {
  /** `https://graph.microsoft.com/.default`: without a user there are no others. */
  readonly scope: string;
}

export interface EntraIssuerOptions {
  /** `https://login.microsoftonline.com`, or that of a national cloud. */
  readonly authority: string;
  /** Directory: its id or one of its domains. */
  readonly directory: string;
  readonly clientId: string;
  /** Certificate and private key (PKCS#8), PEM, one behind the other; asked at every request. */
  readonly certificate: () => Promise<Secret>;
  readonly rules: readonly EntraRule[];
  /** For the gateway's own listing; undefined: a server that needs a credential for it is not listed. */
  readonly discoveryScope: string | undefined;
  /** Longest life of the directory's access tokens, seconds. */
  readonly tokenSeconds: number;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly close: () => Promise<void>;
}

const ASSERTION_SECONDS = 300;
const ROUNDING_MS = 1_000;
const RULES_AT = 'credential.entra.scopes';

/**
 * An app's own token of Microsoft Entra per lease: client credentials, proved by a certificate. It has all that the app was granted of one
 * API, lives as long as the directory says (between 60 and 90 minutes), and is verified offline: nothing revokes it (`expiry_only`, L7).
 */
export function createEntraIssuer(options: EntraIssuerOptions): Issuer {
  const { directory, clientId, rules, discoveryScope, tokenSeconds, fetch, clock, random } = options;
  const authority = serviceAddress(options.authority, 'credential.entra.authority');
  const tokenUrl = `${authority}/${encodeURIComponent(directory)}/oauth2/v2.0/token`;

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { signal } = request;
    const scope = scopeOf(request);
    signal.throwIfAborted();
    const sentAt = clock();
    const form = {
      client_id: clientId,
      scope,
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await assertion(),
    };
    const { status, body } = await askJson(fetch, tokenUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
      body: new URLSearchParams(form).toString(),
      signal,
    });
    if (status !== 200) throw refusalOf(status, body);
    const seconds = secondsOf(body, 'expires_in');
    const latest = Math.max(request.expiresAt, sentAt + tokenSeconds * 1000);
    if (sentAt + seconds * 1000 > latest + ROUNDING_MS) {
      throw new RemitError(
        'ERR_CREDENTIAL_ISSUE',
        `the directory gave a token for ${seconds} s, and ${tokenSeconds} s are expected`,
        {
          hint: 'Say in credential.entra.tokenSeconds how long its tokens live at most: a lease then lapses as long.',
        },
      );
    }
    return {
      fields: { token: new Secret(textOf(body, 'access_token')) },
      scope: `${scope} as ${clientId}`,
      nativeExpiresAt: Math.min(clock() + seconds * 1000, latest),
    };
  }

  function scopeOf(request: IssueRequest): string {
    if (!asksForNothing(request)) return chooseRule(rules, request, RULES_AT).scope;
    if (discoveryScope !== undefined) return discoveryScope;
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'an app’s token always opens what the app was granted', {
      hint: 'Name credential.entra.discoveryScope, if the gateway’s own listing may have that.',
    });
  }

  /** Certificate credentials of the identity platform: `x5t#S256` (RFC 7515 section 4.1.8) names the certificate. */
  async function assertion(): Promise<string> {
    const { key, thumbprint } = await readCertificate(await options.certificate());
    const iat = Math.floor(clock() / 1000);
    const jti = Buffer.from(random(16)).toString('base64url');
    return new SignJWT({
      aud: tokenUrl,
      iss: clientId,
      sub: clientId,
      jti,
      nbf: iat,
      iat,
      exp: iat + ASSERTION_SECONDS,
    })
      .setProtectedHeader({ alg: 'PS256', typ: 'JWT', 'x5t#S256': thumbprint })
      .sign(key);
  }

  return {
    kind: 'entra',
    downstream: `${authority}/${directory} ${clientId}`,
    minTtlSeconds: tokenSeconds,
    revocation: 'expiry_only',
    async issue(request) {
      try {
        return await orAbort(issue(request), request.signal, ({ fields }) => fields.token?.wipe());
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: tokenUrl,
          what: 'no token was given',
          hint: 'See that the certificate is registered with the app, and that the app was granted what it asks for (admin consent).',
        });
      }
    },
    // A resource verifies such a token by itself until it ends.
    revoke: async () => {},
    close: () => options.close(),
  };
}

/** @throws for anything else, without a word of it */
async function readCertificate(secret: Secret): Promise<{ key: CryptoKey; thumbprint: string }> {
  const text = secret.reveal();
  const part = (name: string): string =>
    new RegExp(`-----BEGIN ${name}-----[\\s\\S]+?-----END ${name}-----`).exec(text)?.[0] ?? '';
  try {
    const { raw } = new X509Certificate(part('CERTIFICATE'));
    const key = await importPKCS8(part('PRIVATE KEY'), 'PS256');
    return { key, thumbprint: createHash('sha256').update(raw).digest('base64url') };
  } catch {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the secret is no certificate with its private key', {
      hint: 'Store both in PEM, one behind the other, the key in PKCS#8 (RSA): `cat cert.pem key.pem | remit secret put NAME`.',
    });
  }
}

function refusalOf(status: number, body: Readonly<Record<string, unknown>>): ServiceRefusal {
  const text = (name: string): string => (typeof body[name] === 'string' ? String(body[name]).slice(0, 300) : '');
  return new ServiceRefusal(status, text('error'), text('error_description'));
}
