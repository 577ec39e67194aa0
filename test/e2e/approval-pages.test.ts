import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, runJson, startUp, type Up } from '../cli/remit.ts';
import { type FakePayments, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import { connectTo, type Estate, makeClient, type OwnTask, takeTask } from '../support/whole-gateway.ts';

/** The approvers' pages of a whole gateway, as a browser and as an attacker meet them. */
let payments: FakePayments;
let estate: Estate;
let gateway: Up;
let own: OwnTask;

beforeAll(async () => {
  payments = await startFakePayments();
  estate = await makePaymentsEstate(payments);
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await payments?.close();
});

interface Answer {
  readonly isError?: boolean;
  readonly _meta?: { readonly 'io.remit/decision'?: { readonly approval?: string } };
}

async function pay(args: Readonly<Record<string, unknown>>): Promise<Answer> {
  const client = await connectTo(makeClient('legacy'), gateway, own.token);
  const answer = (await client.callTool({ name: 'bank__pay', arguments: args })) as Answer;
  await client.close();
  return answer;
}

const approvalIn = (answer: Answer): string => answer._meta?.['io.remit/decision']?.approval ?? '';

const newLink = async (): Promise<string> =>
  (await runJson<{ url: string }>(['approval', 'link', '--config', estate.config])).url;

const form = (
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): RequestInit => ({
  method: 'POST',
  redirect: 'manual',
  headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: gateway.url, ...headers },
  body: new URLSearchParams(fields).toString(),
});

/** A browser that is signed in: its cookie. */
async function signIn(): Promise<string> {
  const code = new URL(await newLink()).pathname.split('/').at(-1) ?? '';
  const done = await fetch(`${gateway.url}/approvals/sign-in`, form({ code, next: '/approvals' }));
  expect(done.status).toBe(303);
  return (done.headers.get('set-cookie') ?? '').split(';')[0] as string;
}

async function open(path: string, cookie = ''): Promise<{ status: number; html: string; headers: Headers }> {
  const response = await fetch(gateway.url + path, { headers: { Cookie: cookie } });
  return { status: response.status, html: await response.text(), headers: response.headers };
}

const csrfIn = (html: string): string => /name="csrf" value="([^"]+)"/.exec(html)?.[1] ?? '';

describe('who is not signed in', () => {
  it('is shown nothing of a call, by pages that cannot be framed and run nothing', async () => {
    const id = approvalIn(await pay({ to: 'secret-vendor', amount: 1 }));
    const { status, html, headers } = await open(`/approvals/${id}`);
    expect(status).toBe(401);
    expect(html).not.toMatch(/secret-vendor|bank/);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(policy).not.toContain('script-src');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('A6 no credential of an agent opens the pages or gives a verdict, whatever else comes with it', async () => {
    const id = approvalIn(await pay({ to: 'a6', amount: 1 }));
    const cookie = await signIn();
    const csrf = csrfIn((await open(`/approvals/${id}`, cookie)).html);
    const said = { csrf, verdict: 'approve' };
    for (const headers of [
      { Authorization: `Bearer ${own.token}` },
      { Authorization: `Bearer ${own.token}`, Cookie: cookie },
    ]) {
      expect((await fetch(`${gateway.url}/approvals/${id}`, { headers })).status).toBe(403);
      expect((await fetch(`${gateway.url}/approvals/${id}`, form(said, headers))).status).toBe(403);
    }
    expect((await fetch(`${gateway.url}/approvals/${id}`, form(said))).status).toBe(401);
    for (const method of ['approvals/approve', 'approve', 'approval/verdict']) {
      const response = await fetch(`${gateway.url}/mcp`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${own.token}`,
          'Content-Type': 'application/json',
          Accept: 'application/json, text/event-stream',
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { id, verdict: 'approve' } }),
      });
      expect(await response.text()).toContain('Method not found');
    }
    expect(approvalIn(await pay({ to: 'a6', amount: 1 }))).toBe(id);
    expect(payments.paid).not.toContain('1 a6');
  });
});

it('a link signs in once, and opening it uses nothing up', async () => {
  const link = await newLink();
  for (let n = 0; n < 2; n += 1) expect((await fetch(link)).status).toBe(200);
  const code = new URL(link).pathname.split('/').at(-1) ?? '';
  const done = await fetch(`${gateway.url}/approvals/sign-in`, form({ code, next: 'https://evil.example/' }));
  expect(done.status).toBe(303);
  expect(done.headers.get('location')).toBe('/approvals');
  expect(done.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Lax/);
  expect((await fetch(`${gateway.url}/approvals/sign-in`, form({ code }))).status).toBe(401);
});

describe('an approver', () => {
  it('A25 sees the exact arguments, inert, with what hides made visible', async () => {
    const id = approvalIn(await pay({ to: '<script>alert(1)</script>\u202eevil\u200b"', amount: 3 }));
    const cookie = await signIn();
    const { status, html } = await open(`/approvals/${id}`, cookie);
    expect(status).toBe(200);
    expect(html).not.toContain('<script>');
    expect(html).not.toMatch(/\u202e|\u200b/u);
    expect(html).toContain('&#60;script&#62;alert(1)&#60;/script&#62;\\u202eevil\\u200b');
    expect(html).toContain('Cannot be undone.');
    expect(html).toContain('pay the bills');
    expect((await open('/approvals', cookie)).html).toContain(id);
  });

  it('gives a verdict by a form of the session alone, of this origin alone', async () => {
    const id = approvalIn(await pay({ to: 'form', amount: 4 }));
    const cookie = await signIn();
    const other = await signIn();
    const path = `${gateway.url}/approvals/${id}`;
    const csrf = csrfIn((await open(`/approvals/${id}`, cookie)).html);
    expect((await fetch(path, form({ verdict: 'approve' }, { Cookie: cookie }))).status).toBe(403);
    expect((await fetch(path, form({ csrf, verdict: 'approve' }, { Cookie: other }))).status).toBe(403);
    const foreign = form({ csrf, verdict: 'approve' }, { Cookie: cookie, Origin: 'http://evil.example' });
    expect((await fetch(path, foreign)).status).toBe(403);
    expect(payments.paid).not.toContain('4 form');
    expect((await fetch(path, form({ csrf, verdict: 'approve' }, { Cookie: cookie }))).status).toBe(303);
    expect((await fetch(path, form({ csrf, verdict: 'deny' }, { Cookie: cookie }))).status).toBe(409);
    expect((await pay({ to: 'form', amount: 4 })).isError).not.toBe(true);
    expect(payments.paid.filter((one) => one === '4 form')).toHaveLength(1);
    const view = await runJson<{ verdicts: { via: string; approver: string }[] }>([
      'approval',
      'show',
      id,
      '--config',
      estate.config,
    ]);
    expect(view.verdicts).toMatchObject([{ via: 'link', approver: expect.stringMatching(/^os:/) }]);
    await fetch(`${gateway.url}/approvals/sign-out`, form({ csrf }, { Cookie: cookie }));
    expect((await open(`/approvals/${id}`, cookie)).status).toBe(401);
  });
});
