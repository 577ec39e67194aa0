import { decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentId } from '../../src/domain/ids.ts';
import { ACCESS_TOKEN, EXCHANGE, type Fixture, makeAgentKey, startFixture } from './authorization-fixture.ts';

let fixture: Fixture;
let userToken: string;
beforeAll(async () => {
  fixture = await startFixture();
  userToken = await fixture.idp.signInAs('alice');
});
afterAll(() => fixture.close());

const authenticate = (token: unknown) => fixture.authenticator.authenticate(`Bearer ${String(token)}`);

describe('token exchange: a task for a user', () => {
  it('answers with a token of the user, the agent as its actor, and the granted task', async () => {
    const { status, headers, body } = await fixture.exchange(userToken, {
      template: 'for-users',
      purpose: 'Order 7',
      actions: ['read'],
      tools: ['crm/find_customer'],
      budget: { calls: 2 },
      duration_seconds: 120,
      locations: [fixture.resource],
    });
    expect(status, JSON.stringify(body)).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    const [task] = fixture.registry.active().slice(-1);
    expect(body).toEqual({
      access_token: expect.any(String),
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: expect.any(Number),
      authorization_details: [
        {
          type: 'remit_task',
          task: task?.id,
          template: 'for-users',
          purpose: 'Order 7',
          actions: ['read'],
          tools: ['crm/find_customer'],
          resources: ['crm:customers'],
          budget: { calls: 2 },
          expires_at: new Date(task?.expiresAt ?? 0).toISOString(),
        },
      ],
    });
    const token = String(body.access_token);
    const thumbprint = await fixture.thumbprint(fixture.keys.supportBot);
    expect(decodeProtectedHeader(token)).toEqual({
      alg: 'ES256',
      typ: 'at+jwt',
      kid: fixture.signingKeys.current().kid,
    });
    const claims = decodeJwt(token);
    expect(claims).toEqual({
      iss: fixture.issuer,
      aud: fixture.resource,
      sub: 'alice',
      client_id: 'support-bot',
      act: { sub: 'support-bot' },
      user: { iss: fixture.idp.issuer, groups: ['support', 'staff'] },
      tenant: 'default',
      task: task?.id,
      client_jkt: thumbprint,
      iat: expect.any(Number),
      exp: expect.any(Number),
      jti: expect.any(String),
    });
    expect(Number(claims.exp) * 1000, 'never past the end of the task').toBeLessThanOrEqual(task?.expiresAt ?? 0);
    expect(body.expires_in).toBe(Number(claims.exp) - Number(claims.iat));
    expect(task?.user).toEqual({ issuer: fixture.idp.issuer, subject: 'alice', groups: ['support', 'staff'] });

    expect(await authenticate(token)).toEqual({
      tenant: 'default',
      user: task?.user,
      agent: 'support-bot',
      actors: [],
      workload: `private_key_jwt:${thumbprint}`,
      task: task?.id,
      tokenId: claims.jti,
      tokenExpiresAt: Number(claims.exp) * 1000,
    });
    expect(fixture.issued.at(-1)).toMatchObject({
      task: { id: task?.id },
      tokenId: claims.jti,
      expiresAt: Number(claims.exp) * 1000,
      clientThumbprint: thumbprint,
    });
  });

  it.each([
    ['no subject token', { subject_token: undefined }, 'invalid_request', 'subject_token is required'],
    ['no subject token type', { subject_token_type: undefined }, 'invalid_request', 'subject_token_type'],
    [
      'a SAML subject',
      { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' },
      'invalid_request',
      'allowed: urn',
    ],
    [
      'another requested type',
      { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
      'invalid_request',
      'requested_token_type',
    ],
    ['an actor token', { actor_token: 'x', actor_token_type: ACCESS_TOKEN }, 'invalid_request', 'client is the actor'],
    ['an audience', { audience: 'https://x.example' }, 'invalid_target', 'send resource='],
    ['garbage as subject token', { subject_token: 'a.b.c' }, 'invalid_request', 'not a signed JWT'],
    [
      'a task to continue',
      { authorization_details: '[{"type":"remit_task","task":"tsk_000000000000000000000000"}]' },
      'invalid_authorization_details',
      'client_credentials',
    ],
  ])('refuses %s', async (_title, change, error, description) => {
    const before = fixture.tasks.rows.size;
    const { status, body } = await fixture.exchange(userToken, { template: 'triage' }, change);
    expect([status, body.error]).toEqual([400, error]);
    expect(body.error_description).toContain(description);
    expect(fixture.tasks.rows.size, 'no task was started').toBe(before);
  });

  it('refuses an expired subject token', async () => {
    fixture.state.subjectSkewMs = 3_700_000;
    const { body } = await fixture.exchange(userToken, { template: 'triage' });
    fixture.state.subjectSkewMs = 0;
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.stringContaining('expired') });
  });

  it('refuses a subject token for another audience', async () => {
    const { body } = await fixture.exchange(await fixture.otherIdp.signInAs('alice'), { template: 'triage' });
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.stringContaining('another audience') });
  });

  it('refuses a task token, a client assertion and an agent’s own token as subject', async () => {
    const own = await fixture.declare({ template: 'triage' });
    const assertion = await fixture.assertion('support-bot', fixture.keys.supportBot);
    for (const token of [String(own.body.access_token), assertion]) {
      const { body } = await fixture.exchange(token, { template: 'triage' });
      expect(body).toEqual({ error: 'invalid_request', error_description: expect.stringContaining('issuer') });
    }
  });

  it('refuses a subject token that names another agent as the one who may act', async () => {
    const allowed = await fixture.exchange(await fixture.idp.signInAs('bob'), { template: 'triage' });
    expect(allowed.status, JSON.stringify(allowed.body)).toBe(200);
    const { body } = await fixture.exchange(await fixture.idp.signInAs('carol'), { template: 'triage' });
    expect(body).toEqual({ error: 'access_denied', error_description: expect.stringContaining('may_act') });
  });

  it('D1 fails closed while the identity provider cannot be asked', async () => {
    const fresh = await startFixture();
    try {
      const token = await fresh.idp.signInAs('alice');
      fresh.state.isIdpReachable = false;
      const { status, body } = await fresh.exchange(token, { template: 'triage' });
      expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
      expect(fresh.tasks.rows.size).toBe(0);
      fresh.state.isIdpReachable = true;
      expect((await fresh.exchange(token, { template: 'triage' })).status).toBe(200);
    } finally {
      await fresh.close();
    }
  });
});

describe('client credentials: a task without a user', () => {
  it('answers with a token of the agent alone', async () => {
    const { status, body } = await fixture.declare({ template: 'triage' });
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body).not.toHaveProperty('issued_token_type');
    const claims = decodeJwt(String(body.access_token));
    expect(claims).toMatchObject({ sub: 'support-bot', client_id: 'support-bot', aud: fixture.resource });
    expect(claims).not.toHaveProperty('act');
    expect(claims).not.toHaveProperty('user');
    expect(body.expires_in).toBe(600);
    expect(await authenticate(body.access_token)).toMatchObject({ user: undefined, agent: 'support-bot' });
  });

  it.each(['requested_subject', 'login_hint', 'subject', 'sub', 'username', 'user', 'id_token_hint', 'assertion'])(
    'an agent cannot name its user: %s is refused in both grants',
    async (name) => {
      for (const answer of [
        await fixture.declare({ template: 'triage' }, { [name]: 'alice' }),
        await fixture.exchange(userToken, { template: 'triage' }, { [name]: 'bob' }),
      ]) {
        expect(answer.body).toEqual({ error: 'invalid_request', error_description: expect.stringContaining(name) });
      }
    },
  );

  it('R73 a task below one of the agent’s own has that one’s user, and no other agent can begin it', async () => {
    const top = await fixture.exchange(userToken, { template: 'for-users' });
    const [{ task: parent }] = top.body.authorization_details as [{ task: string }];
    const { status, body } = await fixture.declare({ parent, budget: { calls: 1 } });
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body.authorization_details).toMatchObject([{ parent, template: 'for-users', budget: { calls: 1 } }]);
    expect(await authenticate(body.access_token)).toMatchObject({ user: { subject: decodeJwt(userToken).sub } });
    for (const [declaration, error] of [
      [{ parent, template: 'triage' }, 'invalid_authorization_details'],
      [{ parent, user: 'alice' }, 'invalid_authorization_details'],
      [{ parent: `tsk_${'0'.repeat(24)}` }, 'invalid_grant'],
    ] as const) {
      expect((await fixture.declare(declaration)).body).toMatchObject({ error });
    }
    expect((await fixture.exchange(userToken, { parent })).body).toMatchObject({
      error: 'invalid_authorization_details',
    });
  });

  it('an agent cannot slip a user into the details or a subject token into this grant', async () => {
    const inside = await fixture.declare({ template: 'triage', user: 'alice' });
    expect(inside.body).toMatchObject({ error: 'invalid_authorization_details' });
    expect(inside.body.error_description).toContain('allowed: type, template');
    const slipped = await fixture.declare(
      { template: 'triage' },
      { subject_token: userToken, subject_token_type: ACCESS_TOKEN },
    );
    expect(slipped.body).toMatchObject({ error: 'invalid_request' });
    const needsUser = await fixture.declare({ template: 'for-users' });
    expect(needsUser.body).toEqual({
      error: 'access_denied',
      error_description: expect.stringContaining('needs a user'),
    });
  });

  it.each([
    [
      'an unknown template',
      { template: 'nope' },
      'invalid_authorization_details',
      /'nope' is not known.*allowed.*triage/,
    ],
    ['another agent’s template', { template: 'payroll' }, 'access_denied', /payroll/],
    [
      'a wider action class',
      { template: 'triage', actions: ['write'] },
      'invalid_authorization_details',
      /actions\[0\] 'write'.*allowed: read, ticket/,
    ],
    [
      'a wider tool',
      { template: 'triage', tools: ['db/x'] },
      'invalid_authorization_details',
      /tools\[0\] 'db\/x'.*allowed: crm/,
    ],
    [
      'a wider resource',
      { template: 'triage', resources: ['crm:cards'] },
      'invalid_authorization_details',
      /crm:cards.*allowed: crm:customers/,
    ],
    [
      'a larger budget',
      { template: 'triage', budget: { calls: 21 } },
      'invalid_authorization_details',
      /budget\.calls '21'.*1 to 20/,
    ],
    [
      'a longer life',
      { template: 'triage', duration_seconds: 3601 },
      'invalid_authorization_details',
      /duration_seconds '3601'/,
    ],
    [
      'an invented action class',
      { template: 'triage', actions: ['destroy'] },
      'invalid_authorization_details',
      /actions\[0\] 'destroy'.*read/,
    ],
    [
      'a budget as text',
      { template: 'triage', budget: { calls: '5' } },
      'invalid_authorization_details',
      /budget\.calls/,
    ],
    ['an unknown field', { template: 'triage', scopes: ['all'] }, 'invalid_authorization_details', /scopes.*allowed:/],
    ['a purpose over two lines', { template: 'triage', purpose: 'a\nb' }, 'invalid_authorization_details', /control/],
    [
      'another location',
      { template: 'triage', locations: ['https://x.example'] },
      'invalid_authorization_details',
      /not this gateway/,
    ],
    ['another type', { type: 'payment', template: 'triage' }, 'invalid_authorization_details', /remit_task/],
    ['a task that does not exist', { task: 'tsk_000000000000000000000000' }, 'invalid_grant', /not a running task/],
    [
      'a task and a template',
      { task: 'tsk_000000000000000000000000', template: 'triage' },
      'invalid_authorization_details',
      /template/,
    ],
  ])('D3 refuses %s', async (_title, detail, error, description) => {
    const before = fixture.tasks.rows.size;
    const { status, body } = await fixture.declare(detail);
    expect([status, body.error]).toEqual([400, error]);
    expect(body.error_description).toMatch(description);
    expect(body.error_description, 'RFC 6749 section 5.2').toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(fixture.tasks.rows.size, 'no task was started').toBe(before);
  });

  it.each([
    [
      'no authorization_details',
      { authorization_details: undefined },
      'invalid_request',
      'authorization_details is required',
    ],
    ['broken JSON', { authorization_details: '[{' }, 'invalid_authorization_details', 'not JSON'],
    [
      'an object for the list',
      { authorization_details: '{"type":"remit_task"}' },
      'invalid_authorization_details',
      'not a JSON list',
    ],
    [
      'two details',
      {
        authorization_details: '[{"type":"remit_task","template":"triage"},{"type":"remit_task","template":"triage"}]',
      },
      'invalid_authorization_details',
      'exactly one',
    ],
    ['null for a detail', { authorization_details: '[null]' }, 'invalid_authorization_details', 'exactly one'],
    ['no resource', { resource: undefined }, 'invalid_target', '/mcp'],
    ['another resource', { resource: 'https://elsewhere.example/mcp' }, 'invalid_target', 'not this gateway'],
    ['the issuer for the resource', { resource: 'http://127.0.0.1/' }, 'invalid_target', 'not this gateway'],
    ['a scope', { scope: 'admin' }, 'invalid_scope', 'authorization_details'],
    ['another grant type', { grant_type: 'password' }, 'unsupported_grant_type', ''],
    ['the authorization code grant', { grant_type: 'authorization_code', code: 'x' }, 'unsupported_grant_type', ''],
    ['the refresh token grant', { grant_type: 'refresh_token', refresh_token: 'x' }, 'unsupported_grant_type', ''],
  ])('refuses %s', async (_title, change, error, description) => {
    const { status, body } = await fixture.declare({ template: 'triage' }, change);
    expect([status, body.error]).toEqual([400, error]);
    expect(body.error_description).toContain(description);
  });

  it('refuses two resources, the gateway among them', async () => {
    const { body } = await fixture.post([
      ['grant_type', 'client_credentials'],
      ['client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'],
      ['client_assertion', await fixture.assertion('support-bot', fixture.keys.supportBot)],
      ['resource', fixture.resource],
      ['resource', 'https://elsewhere.example/mcp'],
      ['authorization_details', fixture.details({ template: 'triage' })],
    ]);
    expect(body).toMatchObject({ error: 'invalid_target' });
  });
});

describe('a fresh token for a running task', () => {
  it('keeps the user that was fixed at the start', async () => {
    const first = await fixture.exchange(userToken, { template: 'for-users' });
    const task = decodeJwt(String(first.body.access_token)).task as string;
    const { status, body } = await fixture.declare({ task });
    expect(status, JSON.stringify(body)).toBe(200);
    expect(decodeJwt(String(body.access_token))).toMatchObject({ sub: 'alice', act: { sub: 'support-bot' }, task });
    expect(body.access_token).not.toBe(first.body.access_token);
    expect(fixture.registry.active().filter(({ id }) => id === task)).toHaveLength(1);
  });

  it('I1 is refused to another agent, in the words used for a task that does not exist', async () => {
    const first = await fixture.declare({ template: 'shared' });
    const task = decodeJwt(String(first.body.access_token)).task as string;
    const client = { agent: 'other-bot', key: fixture.keys.otherBot };
    const stolen = await fixture.declare({ task }, {}, client);
    const absent = await fixture.declare({ task: 'tsk_000000000000000000000000' }, {}, client);
    expect([stolen.status, stolen.body.error]).toEqual([400, 'invalid_grant']);
    expect(stolen.body.error_description?.replace(task, 'X')).toBe(
      absent.body.error_description?.replace('tsk_000000000000000000000000', 'X'),
    );
  });

  it('V2 is refused once the task has ended', async () => {
    const first = await fixture.declare({ template: 'triage' });
    const [task] = fixture.registry.active().slice(-1);
    expect(decodeJwt(String(first.body.access_token)).task).toBe(task?.id);
    if (task) await fixture.registry.end(task.id, 'completed');
    expect((await fixture.declare({ task: task?.id })).body).toMatchObject({ error: 'invalid_grant' });
  });
});

describe('client authentication', () => {
  const expectInvalid = async (client: Parameters<Fixture['request']>[1], over = {}) => {
    const before = fixture.tasks.rows.size;
    const { status, body } = await fixture.declare({ template: 'triage' }, over, client);
    expect([status, body.error]).toEqual([401, 'invalid_client']);
    expect(fixture.tasks.rows.size).toBe(before);
    return body;
  };

  it('accepts Ed25519 keys, and both names of the audience', async () => {
    const client = { agent: 'other-bot', key: fixture.keys.otherBot };
    expect((await fixture.declare({ template: 'shared' }, {}, client)).status).toBe(200);
    for (const aud of [`${fixture.issuer}/oauth/token`, [fixture.issuer]]) {
      const assertion = await fixture.assertion('support-bot', fixture.keys.supportBot, { claims: { aud } });
      expect((await fixture.declare({ template: 'triage' }, {}, { assertion })).status).toBe(200);
    }
  });

  it('refuses another key, another agent’s key and an agent that is not registered', async () => {
    await expectInvalid({ key: await makeAgentKey() });
    await expectInvalid({ agent: 'support-bot', key: { ...fixture.keys.otherBot } });
    await expectInvalid({ agent: 'stranger', key: fixture.keys.supportBot });
    expect(fixture.refused.at(-1)).toMatchObject({ error: 'invalid_client' });
    expect(fixture.logged.join('\n')).toMatch(/token request refused.*client not found/);
  });

  it('refuses an assertion that was used before, and one used twice at the same time', async () => {
    const assertion = await fixture.assertion('support-bot', fixture.keys.supportBot);
    expect((await fixture.declare({ template: 'triage' }, {}, { assertion })).status).toBe(200);
    await expectInvalid({ assertion });
    expect([...fixture.oauth.rows.keys()].filter((key) => key.startsWith('ReplayDetection:')).length).toBeGreaterThan(
      0,
    );

    // All five are looked up before any is saved: the order that a check followed by a save does not survive.
    const raced = await fixture.assertion('support-bot', fixture.keys.supportBot);
    const { find } = fixture.oauth;
    let lookUps = 0;
    let release = (): void => undefined;
    const allLookedUp = new Promise<void>((resolve) => {
      release = resolve;
    });
    fixture.oauth.find = async (...all) => {
      const found = await find(...all);
      lookUps += 1;
      if (lookUps === 5) release();
      await allLookedUp;
      return found;
    };
    const attempts = Array.from({ length: 5 }, () => fixture.declare({ template: 'triage' }, {}, { assertion: raced }));
    const statuses = (await Promise.all(attempts)).map(({ status }) => status);
    fixture.oauth.find = find;
    expect(statuses.sort()).toEqual([200, 401, 401, 401, 401]);
  });

  it.each([
    ['for another server', { aud: 'https://elsewhere.example' }],
    ['that has expired', { exp: Math.floor(Date.now() / 1000) - 60 }],
    ['that never expires', { exp: undefined }],
    ['that lives for a day', { exp: Math.floor(Date.now() / 1000) + 86_400 }],
    ['without jti', { jti: undefined }],
    ['with an endless jti', { jti: 'x'.repeat(300) }],
    ['by another issuer', { iss: 'other-bot' }],
  ])('refuses an assertion %s', async (_title, claims) => {
    const assertion = await fixture.assertion('support-bot', fixture.keys.supportBot, { claims: claims as JWTPayload });
    await expectInvalid({ assertion });
  });

  it('refuses an assertion that is for another server as well', async () => {
    const aud = [fixture.issuer, 'https://elsewhere.example'];
    const assertion = await fixture.assertion('support-bot', fixture.keys.supportBot, { claims: { aud } });
    await expectInvalid({ assertion });
  });

  it('refuses an assertion whose audience is only what the Host header says', async () => {
    const assertion = await fixture.assertion('support-bot', fixture.keys.supportBot, {
      claims: { aud: 'http://victim.example/oauth/token' },
    });
    const { request } = await import('node:http');
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
      resource: fixture.resource,
      authorization_details: fixture.details({ template: 'triage' }),
    }).toString();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { Host: 'victim.example', 'Content-Type': 'application/x-www-form-urlencoded' };
      request(`${fixture.issuer}/oauth/token`, { method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end(body);
    });
    expect(status).toBe(401);
    expect(fixture.logged.join('\n')).toContain('aud is not exactly this server');
  });

  it('refuses every other way to authenticate', async () => {
    const rest = {
      grant_type: 'client_credentials',
      resource: fixture.resource,
      authorization_details: fixture.details({ template: 'triage' }),
    };
    const none = await fixture.post(Object.entries({ ...rest, client_id: 'support-bot' }));
    expect(none.body.error).toBe('invalid_client');
    const secret = await fixture.post(Object.entries({ ...rest, client_id: 'support-bot', client_secret: 'x' }));
    expect(['invalid_client', 'invalid_request']).toContain(secret.body.error);
    const basic = await fixture.post(Object.entries(rest), { Authorization: `Basic ${btoa('support-bot:x')}` });
    expect(['invalid_client', 'invalid_request']).toContain(basic.body.error);
    expect([none.status, secret.status, basic.status].every((status) => status >= 400)).toBe(true);
  });

  it('L6 tells and logs no token and no assertion', async () => {
    const assertion = await fixture.assertion('support-bot', await makeAgentKey());
    const refused = await fixture.request(
      {
        grant_type: EXCHANGE,
        subject_token: userToken,
        subject_token_type: ACCESS_TOKEN,
        authorization_details: fixture.details({ template: 'triage' }),
      },
      { assertion },
    );
    const said = JSON.stringify(refused.body) + fixture.logged.join('\n') + JSON.stringify(fixture.refused);
    for (const token of [userToken, assertion]) {
      for (const part of token.split('.').slice(1)) expect(said).not.toContain(part);
    }
    expect(said).not.toMatch(/at .*\.js:\d+/);
  });

  it('takes up another set of agents without a restart, and keeps the old one when the new is bad', async () => {
    const fresh = await startFixture();
    try {
      const key = await makeAgentKey();
      const agents = [{ id: agentId('support-bot'), jwks: { keys: [key.publicJwk] } }];
      expect(() => fresh.authorizationServer.rebuild([{ id: agentId('support-bot'), jwks: { keys: [] } }])).toThrow(
        expect.objectContaining({ code: 'ERR_AGENT_KEY' }),
      );
      expect((await fresh.declare({ template: 'triage' })).status).toBe(200);
      fresh.authorizationServer.rebuild(agents);
      expect((await fresh.declare({ template: 'triage' })).status).toBe(401);
      expect((await fresh.declare({ template: 'triage' }, {}, { key })).status).toBe(200);
    } finally {
      await fresh.close();
    }
  });
});
