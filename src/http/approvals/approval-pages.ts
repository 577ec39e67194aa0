import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Said } from '../../approvals/give-verdict.ts';
import type { ApprovalView } from '../../approvals/view-approval.ts';
import type { Approval, Approver } from '../../domain/approval.ts';
import { RemitError } from '../../domain/errors.ts';
import { type ApprovalId, approvalId } from '../../domain/ids.ts';
import { readBody } from '../../gateway/edge/read-body.ts';
import type { SignIn } from '../../seams/sign-in.ts';
import type { ApproverSession, ApproverSessions } from './approver-sessions.ts';
import { approvalPage, codePage, listPage, PAGE_HEADERS, page, signInPage, text } from './render-page.ts';

export interface ApprovalPagesOptions {
  readonly sessions: ApproverSessions;
  readonly signIn: SignIn | undefined;
  /** The gateway's own URL, as browsers see it. */
  readonly url: () => string;
  readonly listOpen: () => Promise<Approval[]>;
  readonly show: (id: ApprovalId) => Promise<ApprovalView>;
  /** Whether an approver may look at it at all. */
  readonly mayJudge: (approver: Approver, approval: Approval) => boolean;
  readonly find: (id: ApprovalId) => Promise<Approval | undefined>;
  readonly give: (id: ApprovalId, approver: Approver, said: Said) => Promise<unknown>;
}

const LARGEST_FORM = 16_384;
const OIDC_COOKIE = 'remit_sign_in';

/**
 * The approvers' pages, at `/approvals`. Whoever comes with a credential of an agent is sent away: no verdict is taken from one, and a browser
 * has none (guarantee A6). `Host` and `Origin` have been checked.
 */
export function createApprovalPages(options: ApprovalPagesOptions) {
  const { sessions, signIn } = options;
  const isSecure = (): boolean => options.url().startsWith('https:');
  // Bound to the host, and to https, where there is one (RFC 6265bis section 4.1.3).
  const cookieName = (): string => (isSecure() ? '__Host-remit_approver' : 'remit_approver');

  function send(
    response: ServerResponse,
    status: number,
    html: string,
    more: Readonly<Record<string, string>> = {},
  ): void {
    response.writeHead(status, { ...PAGE_HEADERS, 'Content-Length': Buffer.byteLength(html), ...more }).end(html);
  }

  function redirect(response: ServerResponse, to: string, cookie?: string): void {
    send(response, 303, page('Go on', '<p><a href="/approvals">Approvals</a></p>'), {
      Location: to,
      ...(cookie !== undefined && { 'Set-Cookie': cookie }),
    });
  }

  const setCookie = (name: string, value: string, seconds: number): string =>
    `${name}=${value}; Path=${name.startsWith('__Host-') ? '/' : '/approvals'}; HttpOnly; SameSite=Lax; Max-Age=${seconds}${isSecure() ? '; Secure' : ''}`;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', options.url());
    const [, , first = '', second] = url.pathname.split('/');
    if (request.headers.authorization !== undefined) {
      request.resume();
      return send(response, 403, page('Not here', '<p>No token is accepted on these pages.</p>'));
    }
    if (request.method === 'POST') return post(request, response, first);
    request.resume();
    if (request.method !== 'GET') return send(response, 405, page('Not here', ''), { Allow: 'GET, POST' });
    const next = safeNext(url.searchParams.get('next'));
    if (first === 'sign-in' && second !== undefined) return send(response, 200, codePage(second, next));
    if (first === 'oidc' && signIn !== undefined) return oidc(signIn, request, response, url, second, next);
    const session = await sessions.find(cookieOf(request, cookieName()));
    if (session === undefined) return send(response, 401, signInPage(signIn !== undefined, safeNext(url.pathname)));
    if (first === '') {
      const open = (await options.listOpen()).filter((one) => options.mayJudge(session.approver, one));
      const rows = open.map((one) => ({ ...one, expiresAt: new Date(one.expiresAt).toISOString() }));
      return send(response, 200, listPage(rows, session.csrf));
    }
    return show(response, session, approvalId(first));
  }

  async function show(
    response: ServerResponse,
    session: ApproverSession,
    id: ApprovalId,
    note?: string,
  ): Promise<void> {
    const approval = await options.find(id);
    if (approval === undefined || !options.mayJudge(session.approver, approval)) {
      return send(response, 404, page('Not found', `<p>${text(session.approver.id)} may judge no such approval.</p>`));
    }
    send(response, note === undefined ? 200 : 409, approvalPage(await options.show(id), session.csrf, note));
  }

  async function post(request: IncomingMessage, response: ServerResponse, first: string): Promise<void> {
    const body = await readBody(request, LARGEST_FORM);
    if ('problem' in body) return send(response, body.status, page('Not accepted', `<p>${text(body.problem)}</p>`));
    const form = new URLSearchParams(body.text);
    if (first === 'sign-in') {
      const approver = await sessions.takeCode(form.get('code') ?? '');
      if (approver === undefined) {
        return send(
          response,
          401,
          page('Not signed in', '<p>This link has been used, or its ten minutes are over.</p>'),
        );
      }
      const cookie = setCookie(cookieName(), await sessions.begin(approver), 3_600);
      return redirect(response, safeNext(form.get('next')), cookie);
    }
    const cookie = cookieOf(request, cookieName());
    const session = await sessions.find(cookie);
    if (session === undefined) return send(response, 401, signInPage(signIn !== undefined, '/approvals'));
    if (!isSame(form.get('csrf') ?? '', session.csrf)) {
      return send(response, 403, page('Not accepted', '<p>This form is none of this session. Open the page anew.</p>'));
    }
    if (first === 'sign-out') {
      await sessions.end(cookie);
      return redirect(response, '/approvals', setCookie(cookieName(), '', 0));
    }
    const id = approvalId(first);
    try {
      await options.give(id, session.approver, readSaid(form));
    } catch (error) {
      if (!(error instanceof RemitError) || error.code === 'ERR_INTERNAL') throw error;
      return show(response, session, id, `${error.message}. ${error.hint ?? ''}`);
    }
    redirect(response, `/approvals/${encodeURIComponent(id)}`);
  }

  async function oidc(
    provider: SignIn,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    step: string | undefined,
    next: string,
  ): Promise<void> {
    if (step === 'start') {
      const started = await provider.start(next).catch(() => undefined);
      if (started === undefined)
        return send(response, 503, page('Not signed in', '<p>The identity provider cannot be reached.</p>'));
      return redirect(response, started.url, setCookie(OIDC_COOKIE, started.cookie, 600));
    }
    try {
      const { approver, next: to } = await provider.finish(url, cookieOf(request, OIDC_COOKIE) ?? '');
      redirect(response, safeNext(to), setCookie(cookieName(), await sessions.begin(approver), 3_600));
    } catch {
      send(
        response,
        401,
        page(
          'Not signed in',
          '<p>The identity provider’s answer was not accepted. <a href="/approvals">Try again</a></p>',
        ),
      );
    }
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await handle(request, response);
    } catch (error) {
      // Who cannot be told to be signed in is shown nothing, and signs in again only when the hour is over.
      if (response.headersSent || !(error instanceof RemitError) || !error.code.startsWith('ERR_STORE_')) throw error;
      send(response, 503, page('Not now', '<p>The store cannot be reached. Try again in a moment.</p>'));
    }
  };
}

function readSaid(form: URLSearchParams): Said {
  const reason = form.get('reason') ?? '';
  switch (form.get('verdict')) {
    case 'approve':
      return { verdict: 'approve', uses: Number(form.get('uses') ?? 0), reason };
    case 'deny':
      return { verdict: 'deny', reason };
    default:
      throw new RemitError('ERR_USAGE', 'a verdict is to approve or to deny');
  }
}

/** A page of ours, and nothing else: no other place is led to from here. */
function safeNext(next: string | null): string {
  return next !== null && /^\/approvals(\/apr_[a-z0-9]+)?$/.test(next) ? next : '/approvals';
}

function cookieOf({ headers }: IncomingMessage, name: string): string | undefined {
  for (const part of (headers.cookie ?? '').split(';')) {
    const at = part.indexOf('=');
    if (at !== -1 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim();
  }
  return undefined;
}

function isSame(given: string, expected: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)];
  return one.length === other.length && timingSafeEqual(one, other);
}
