import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type AwsIssuerOptions, createAwsIssuer } from '../../src/adapters/issuers/aws-issuer.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { agentId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeAws, startFakeAws } from '../support/fake-aws.ts';
import { REPORT_STATEMENTS } from '../support/report-statements.ts';

const ROLE = 'arn:aws:iam::123456789012:role/remit-reports';
/** What a policy would put the caller's name for. */
const VARIABLE = ['$', '{aws:username}'].join('');
const WRONG = 'canary-wrong-aws-key';

function optionsFor(aws: FakeAws, more: Partial<AwsIssuerOptions> = {}): AwsIssuerOptions {
  const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  return {
    endpoint: aws.url,
    region: aws.region,
    credentials: async () => ({ accessKeyId: aws.accessKeyId, secretAccessKey: new Secret(aws.secretAccessKey) }),
    roleArn: ROLE,
    externalId: 'shop',
    statements: REPORT_STATEMENTS,
    tagsSessions: true,
    fetch,
    clock: () => aws.now(),
    close,
    ...more,
  };
}

async function start(): Promise<FakeAws> {
  const aws = await startFakeAws();
  const policy = [{ Effect: 'Allow', Action: ['s3:Get*', 's3:Put*', 's3:ListAllMyBuckets'], Resource: '*' }] as const;
  const role = { policy: policy.map((one) => ({ ...one, Action: [...one.Action] })), mayTag: true, maxSeconds: 3600 };
  aws.roles.set(ROLE, { ...role, externalId: 'shop' });
  return aws;
}

function can(aws: FakeAws, { fields }: Pick<IssuedCredential, 'fields'>, action: string, key: string): boolean {
  const part = (name: string): string => fields[name]?.reveal() ?? '';
  return aws.allows(
    part('accessKeyId'),
    part('secretAccessKey'),
    part('sessionToken'),
    action,
    `arn:aws:s3:::reports/${key}`,
  );
}

issuerSuite('aws', async () => {
  const aws = await start();
  return {
    issuer: createAwsIssuer(optionsFor(aws)),
    other: () => createAwsIssuer(optionsFor(aws)),
    clock: Date.now,
    resources: ['2026/*'],
    actionClasses: ['read'],
    canUse: async (fields) => can(aws, { fields }, 's3:GetObject', '2026/may.csv'),
    exists: undefined,
    broken: [
      createAwsIssuer(
        optionsFor(aws, {
          credentials: async () => ({ accessKeyId: aws.accessKeyId, secretAccessKey: new Secret(WRONG) }),
        }),
      ),
      createAwsIssuer(optionsFor(aws, { endpoint: 'http://127.0.0.1:9' })),
      createAwsIssuer(optionsFor(aws, { region: 'us-east-1' })),
      createAwsIssuer(optionsFor(aws, { externalId: undefined })),
      createAwsIssuer(optionsFor(aws, { roleArn: 'arn:aws:iam::123456789012:role/other' })),
    ],
    secrets: [aws.secretAccessKey, WRONG],
    stop: () => aws.close(),
  };
});

describe('the aws issuer', () => {
  let aws: FakeAws;
  const issuers: Issuer[] = [];

  beforeAll(async () => {
    aws = await start();
  });
  afterEach(async () => {
    aws.troubles.length = 0;
    Object.assign(aws, { now: Date.now, moreSeconds: 0, isBare: false, sessionToken: undefined });
    await Promise.all(issuers.splice(0).map((issuer) => issuer.close()));
  });
  afterAll(() => aws.close());

  function make(more: Partial<AwsIssuerOptions> = {}): Issuer {
    const issuer = createAwsIssuer(optionsFor(aws, more));
    issuers.push(issuer);
    return issuer;
  }

  async function issue(issuer: Issuer, resources: string[], actionClasses: ActionClass[], more: object = {}) {
    const lease = newLease(issuer, aws.now());
    const expiresAt = Math.max(lease.expiresAt, aws.now() + issuer.minTtlSeconds * 1000);
    const request = { ...requestFor(lease, AbortSignal.timeout(5_000)), resources, actionClasses, expiresAt, ...more };
    return { lease, issued: await issuer.issue(request) };
  }

  it('opens what the task names and its classes do, within the role, and nothing else', async () => {
    const { issued } = await issue(make(), ['2026/*', 'out/june.csv'], ['read', 'write']);
    expect(can(aws, issued, 's3:GetObject', '2026/may.csv')).toBe(true);
    expect(can(aws, issued, 's3:PutObject', 'out/june.csv')).toBe(true);
    for (const [action, key] of [
      ['s3:GetObject', '2025/may.csv'],
      ['s3:PutObject', '2026/may.csv'],
      ['s3:PutObject', 'out/july.csv'],
      ['s3:DeleteObject', 'out/june.csv'],
    ] as const) {
      expect(can(aws, issued, action, key), `${action} ${key}`).toBe(false);
    }
    expect(issued.scope).toContain('s3:GetObject on arn:aws:s3:::reports/2026/*');
  });

  it('takes ? and $ of a resource for what they are, and not for wildcards and variables', async () => {
    const { issued } = await issue(make(), ['a?c', VARIABLE], ['read']);
    expect(can(aws, issued, 's3:GetObject', 'a?c')).toBe(true);
    expect(can(aws, issued, 's3:GetObject', 'abc')).toBe(false);
    expect(can(aws, issued, 's3:GetObject', VARIABLE)).toBe(true);
    await expect(issue(make(), ['日本'], ['read'])).rejects.toThrow('cannot stand in a session policy');
    // A quote cannot end its text.
    const quoted = await issue(make(), ['a"],"Resource":["*'], ['read']);
    expect(can(aws, quoted.issued, 's3:GetObject', '2026/may.csv')).toBe(false);
  });

  it('opens nothing unnamed', async () => {
    await expect(issue(make(), ['2026/*'], ['write'])).rejects.toThrow('no statement');
    await expect(issue(make(), ['2026/*'], ['code'])).rejects.toThrow('no statement');
    const { issued } = await issue(make(), [], ['read']);
    expect(issued.scope).toContain('s3:ListAllMyBuckets');
    expect(can(aws, issued, 's3:GetObject', '2026/may.csv')).toBe(false);
    const bare = await issue(make(), [], []);
    expect(bare.issued.scope).toContain('no rights');
    expect(can(aws, bare.issued, 's3:ListAllMyBuckets', '')).toBe(false);
  });

  it('refuses a policy that is too large, rather than a wider one', async () => {
    const many = Array.from({ length: 60 }, (_, index) => `2026/${'x'.repeat(30)}${index}`);
    await expect(issue(make(), many, ['read'])).rejects.toMatchObject({
      hint: expect.stringContaining('fewer resources'),
    });
  });

  it('names the session after the lease, and tags it with who acts; a user is a digest', async () => {
    const user = { issuer: 'https://login.example.com', subject: 'erin@example.com' };
    const { lease } = await issue(make(), [], ['read'], { user, agent: agentId('réports<1>') });
    const session = [...aws.sessions.values()].find(({ name }) => name === lease.tag);
    expect(session?.tags).toEqual({
      'remit:task': lease.task,
      'remit:agent': 'réports_1_',
      'remit:connector': lease.connector,
      'remit:user': createHash('sha256').update('https://login.example.com\nerin@example.com').digest('hex'),
    });
    await issue(make({ tagsSessions: false }), [], ['read']);
    expect([...aws.sessions.values()].at(-1)?.tags).toEqual({});
  });

  it('L3 lives fifteen minutes at least, and says so; a longer one than asked is refused', async () => {
    const issuer = make();
    expect([issuer.minTtlSeconds, issuer.revocation]).toEqual([900, 'expiry_only']);
    const { issued } = await issue(issuer, [], ['read']);
    expect(issued.nativeExpiresAt).toBeGreaterThan(Date.now() + 890_000);
    aws.moreSeconds = 600;
    await expect(issue(issuer, [], ['read'])).rejects.toThrow('was asked for');
  });

  it('L7 goes on after a revoke until it ends, and claims nothing else', async () => {
    const issuer = make();
    const { lease, issued } = await issue(issuer, ['2026/*'], ['read']);
    await issuer.revoke(lease, undefined);
    expect(can(aws, issued, 's3:GetObject', '2026/may.csv')).toBe(true);
    const end = issued.nativeExpiresAt ?? 0;
    aws.now = () => end + 1_000;
    expect(can(aws, issued, 's3:GetObject', '2026/may.csv')).toBe(false);
  });

  it('signs with temporary credentials as well', async () => {
    aws.sessionToken = 'canary-session-token';
    await expect(issue(make(), [], ['read'])).rejects.toThrow('InvalidClientTokenId');
    const credentials = async () => ({
      accessKeyId: aws.accessKeyId,
      secretAccessKey: new Secret(aws.secretAccessKey),
      sessionToken: new Secret('canary-session-token'),
    });
    expect((await issue(make({ credentials }), [], ['read'])).issued.scope).toContain('ListAllMyBuckets');
  });

  it('reads answers without the outermost element, as Ceph gives them', async () => {
    aws.isBare = true;
    const { issued } = await issue(make(), ['2026/*'], ['read']);
    expect(can(aws, issued, 's3:GetObject', '2026/may.csv')).toBe(true);
    await expect(issue(make({ externalId: undefined }), [], ['read'])).rejects.toThrow('403 AccessDenied');
  });

  it('says what AWS has against it: a session that is too long, a clock that is wrong', async () => {
    const lease = newLease(make(), aws.now());
    const request = { ...requestFor(lease, AbortSignal.timeout(5_000)), actionClasses: ['read'] as const };
    await expect(make().issue({ ...request, expiresAt: Date.now() + 7_200_000 })).rejects.toThrow('MaxSessionDuration');
    await expect(issue(make({ clock: () => Date.now() - 900_000 }), [], ['read'])).rejects.toThrow(
      'SignatureDoesNotMatch',
    );
  });

  it.each(['garble', 'huge', 500, 'lose'] as const)('fails closed where an answer is %s', async (how) => {
    aws.troubles.push({ at: /POST/, how, times: 1 });
    await expect(issue(make(), [], ['read'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
  });

  it('ends with its deadline where nothing is answered', async () => {
    aws.troubles.push({ at: /POST/, how: 'hang' });
    await expect(issue(make(), [], ['read'], { signal: AbortSignal.timeout(150) })).rejects.toThrow('issue deadline');
  });
});
