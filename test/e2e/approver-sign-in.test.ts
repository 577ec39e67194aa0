import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { type FakeCompanyIdp, startFakeCompanyIdp } from '../support/fake-company-idp.ts';
import { type FakePayments, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import { connectTo, type Estate, makeClient, type OwnTask, recordsOf, takeTask } from '../support/whole-gateway.ts';

/** Approvers who sign in at their identity provider, and are told by a webhook; the command line takes no verdict here. */
let payments: FakePayments;
let idp: FakeCompanyIdp;
let hook: Server;
const posted: string[] = [];
let estate: Estate;
let gateway: Up;
let own: OwnTask;

beforeAll(async () => {
  payments = await startFakePayments();
  idp = await startFakeCompanyIdp({
    audience: 'remit',
    users: [
      { sub: 'fay', groups: [] },
      { sub: 'mal', groups: ['leaders'] },
      { sub: 'lea', groups: ['staff', 'leads'] },
    ].map((user) => ({ ...user, email: `${user.sub}@shop.example` })),
  });
  hook = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += String(chunk);
    });
    request.on('end', () => {
      posted.push(body);
      response.end();
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  estate = await makePaymentsEstate(payments, {
    secrets: { hook_url: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook-secret` },
    yaml: `approvals:
  approvers: ["user:${idp.issuer}#fay", "group:${idp.issuer}#leads"]
  commandLine: false
  signIn: { issuer: "${idp.issuer}", clientId: workstation }
  notify: [{ url: hook_url, format: slack }]
`,
  });
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await payments?.close();
  await idp?.close();
  hook?.closeAllConnections();
  await new Promise((resolve) => hook?.close(resolve));
});

interface Answer {
  readonly isError?: boolean;
  readonly _meta?: { readonly 'io.remit/decision'?: { readonly approval?: string } };
}

async function pay(to: string): Promise<Answer> {
  const client = await connectTo(makeClient('legacy'), gateway, own.token);
  const answer = (await client.callTool({ name: 'bank__pay', arguments: { to, amount: 1 } })) as Answer;
  await client.close();
  return answer;
}

/** A browser: follows redirects between gateway and provider, with a jar of cookies for each. */
class Browser {
  readonly #jars = new Map<string, Map<string, string>>();
  readonly visited: string[] = [];

  async go(address: string, sub: string): Promise<Response> {
    let next = new URL(address);
    for (let hops = 0; hops < 15; hops += 1) {
      if (next.pathname === '/auth' && !next.searchParams.has('login_hint')) next.searchParams.set('login_hint', sub);
      this.visited.push(next.href);
      const response = await this.fetch(next.href);
      const location = response.headers.get('location');
      if (location === null) return response;
      next = new URL(location, next);
    }
    throw new Error(`no end: ${this.visited.join(' ')}`);
  }

  async fetch(address: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(address);
    const jar = this.#jars.get(origin) ?? new Map<string, string>();
    this.#jars.set(origin, jar);
    const Cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(address, { redirect: 'manual', ...init, headers: { ...init.headers, Cookie } });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      jar.set(name, value);
    }
    return response;
  }
}

function approve(browser: Browser, id: string, html: string): Promise<Response> {
  const csrf = /name="csrf" value="([^"]+)"/.exec(html)?.[1] ?? '';
  return browser.fetch(`${gateway.url}/approvals/${id}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: gateway.url },
    body: new URLSearchParams({ csrf, verdict: 'approve', reason: 'invoice 7' }).toString(),
  });
}

it('an approver signs in at the provider, sees the call and approves it; nobody else of the provider may', async () => {
  const id = (await pay('ann'))._meta?.['io.remit/decision']?.approval ?? '';
  await until(() => posted.length > 0, 'it was told');
  expect(posted[0]).toContain(`${gateway.url}/approvals/${id}`);
  expect(posted.join()).not.toMatch(/ann|bank|pay|scribe/);
  expect(await runToFail(['approve', id, '--config', estate.config])).toMatchObject({ code: 'ERR_APPROVAL_REFUSED' });
  expect(await runToFail(['approval', 'link', '--config', estate.config])).toMatchObject({
    code: 'ERR_APPROVAL_REFUSED',
  });

  const start = `${gateway.url}/approvals/oidc/start?next=/approvals/${id}`;
  const stranger = new Browser();
  const refused = await stranger.go(start, 'mal');
  expect(refused.status).toBe(404);
  expect(await refused.text()).not.toContain('ann');

  const browser = new Browser();
  const shown = await browser.go(start, 'fay');
  expect(shown.status).toBe(200);
  const html = await shown.text();
  expect(html).toContain('&#34;ann&#34;');
  const callback = browser.visited.find((address) => address.includes('/oidc/callback')) ?? '';
  // The answer is good once, and in the browser that began.
  expect((await browser.fetch(callback)).status).toBe(401);
  expect((await new Browser().fetch(callback)).status).toBe(401);

  expect((await approve(browser, id, html)).status).toBe(303);
  expect((await pay('ann')).isError).not.toBe(true);
  expect(payments.paid).toEqual(['1 ann']);
  expect(gateway.stderr()).not.toContain('hook-secret');
});

it('an approver by a group of the ID token approves; who is in a group of another name does not', async () => {
  const id = (await pay('bob'))._meta?.['io.remit/decision']?.approval ?? '';
  const start = `${gateway.url}/approvals/oidc/start?next=/approvals/${id}`;
  expect((await new Browser().go(start, 'mal')).status).toBe(404);
  const browser = new Browser();
  const shown = await browser.go(start, 'lea');
  expect(shown.status).toBe(200);
  expect((await approve(browser, id, await shown.text())).status).toBe(303);
  expect((await pay('bob')).isError).not.toBe(true);
  expect(payments.paid).toEqual(['1 ann', '1 bob']);
  const verdicts = await recordsOf(estate, 'approval_verdict');
  expect(JSON.stringify(verdicts.at(-1)?.detail)).toContain(`"by":"${idp.issuer}#lea"`);
});
