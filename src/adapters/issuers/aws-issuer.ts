import { createHash } from 'node:crypto';
import { RemitError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { Secret } from '../../domain/secret.ts';
import type { IssuedCredential, IssueRequest, Issuer } from '../../seams/issuer.ts';
import { objectOf, ServiceRefusal, textOf } from '../clouds/ask-json.ts';
import { type AwsService, createAwsCaller } from '../clouds/aws-caller.ts';
import { type AwsStatement, sessionPolicy } from './aws-policy.ts';
import { issueFault, orAbort } from './issuer-faults.ts';
import { assertLeaseTag } from './lease-tag.ts';

export interface AwsIssuerOptions extends Omit<AwsService, 'service'> {
  readonly roleArn: string;
  readonly externalId: string | undefined;
  readonly statements: readonly AwsStatement[];
  /** Whether sessions get tags that name task, agent, connector and user; the role's trust policy has to allow `sts:TagSession`. */
  readonly tagsSessions: boolean;
  readonly close: () => Promise<void>;
}

/** AssumeRole, `DurationSeconds`. */
const LEAST_SECONDS = 900;
const ROUNDING_MS = 1_000;

/**
 * A session of an IAM role per lease (AssumeRole), whose rights are those of the role and of a session policy with the task's resources. AWS
 * takes no session back: it ends by itself, fifteen minutes later at the earliest (`expiry_only`, guarantee L7). It is named after the lease.
 */
export function createAwsIssuer(options: AwsIssuerOptions): Issuer {
  const { roleArn, externalId, statements, tagsSessions, clock } = options;
  const call = createAwsCaller({ ...options, service: 'sts' });

  async function issue(request: IssueRequest): Promise<IssuedCredential> {
    const { tag, expiresAt, signal } = request;
    assertLeaseTag(tag);
    const policy = sessionPolicy(statements, request);
    const left = Math.floor((expiresAt - clock()) / 1000);
    if (left < 1) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease ends before it begins');
    const seconds = Math.max(LEAST_SECONDS, left);
    const latest = Math.max(clock() + seconds * 1000, expiresAt);
    const form = new URLSearchParams({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: roleArn,
      RoleSessionName: tag,
      DurationSeconds: String(seconds),
      Policy: policy.text,
      ...(externalId !== undefined && { ExternalId: externalId }),
      ...(tagsSessions && sessionTags(request)),
    });
    const type = { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' };
    const { status, body } = await call(type, form.toString(), signal);
    if (status !== 200) throw refusalOf(status, body);
    const result = objectOf(inner(body, 'AssumeRoleResponse'), 'AssumeRoleResult');
    const credentials = objectOf(result, 'Credentials');
    const endsAt = timeOf(credentials.Expiration);
    if (endsAt > latest + ROUNDING_MS) {
      const until = new Date(endsAt).toISOString();
      throw new RemitError(
        'ERR_CREDENTIAL_ISSUE',
        `a session of ${seconds} s was asked for, and one until ${until} given`,
      );
    }
    return {
      fields: {
        accessKeyId: new Secret(textOf(credentials, 'AccessKeyId')),
        secretAccessKey: new Secret(textOf(credentials, 'SecretAccessKey')),
        sessionToken: new Secret(textOf(credentials, 'SessionToken')),
      },
      scope: `${policy.summary}, within ${roleArn}`.slice(0, 1_000),
      nativeExpiresAt: Math.min(endsAt, latest),
    };
  }

  return {
    kind: 'aws',
    downstream: roleArn,
    minTtlSeconds: LEAST_SECONDS,
    revocation: 'expiry_only',
    async issue(request) {
      const wipe = ({ fields }: IssuedCredential): void => {
        for (const field of Object.values(fields)) field.wipe();
      };
      try {
        return await orAbort(issue(request), request.signal, wipe);
      } catch (error) {
        throw issueFault(error, request.signal, {
          where: roleArn,
          what: 'the role could not be assumed',
          hint: 'See that the role trusts Remit’s own key for sts:AssumeRole, and sts:TagSession where tagSessions is on, and that its longest session is long enough.',
        });
      }
    },
    // AWS has nothing that would end one session.
    revoke: async () => {},
    close: () => options.close(),
  };
}

/** Who acts, for trust policies, conditions and CloudTrail. A user is a digest: subjects may be e-mail addresses. */
function sessionTags({ task, agent, connector, user }: IssueRequest): Record<string, string> {
  const tags = {
    'remit:task': task,
    'remit:agent': agent,
    'remit:connector': connector,
    ...(user !== undefined && {
      'remit:user': createHash('sha256').update(`${user.issuer}\n${user.subject}`).digest('hex'),
    }),
  };
  return Object.fromEntries(
    Object.entries(tags).flatMap(([key, value], index) => [
      [`Tags.member.${index + 1}.Key`, key],
      // What else a name may have, a tag may not: letters, digits, spaces and _.:/=+-@.
      [`Tags.member.${index + 1}.Value`, value.replace(/[^\p{L}\p{Z}\p{N}_.:/=+\-@]/gu, '_').slice(0, 256)],
    ]),
  );
}

/** Seconds since the epoch in JSON, RFC 3339 in XML. */
function timeOf(value: unknown): number {
  const time = typeof value === 'number' ? value * 1000 : typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isFinite(time)) return time;
  throw new Error('the answer has no Expiration');
}

/** AWS has the outermost element of the XML in its JSON, too; Ceph's gateway leaves it out. */
function inner(body: JsonObject, name: string): JsonObject {
  const value = body[name];
  return isJsonObject(value) ? value : body;
}

function refusalOf(status: number, body: JsonObject): ServiceRefusal {
  const error = inner(body, 'Error');
  const text = (name: 'Code' | 'Message'): string => (typeof error[name] === 'string' ? error[name].slice(0, 300) : '');
  return new ServiceRefusal(status, text('Code'), text('Message'));
}
