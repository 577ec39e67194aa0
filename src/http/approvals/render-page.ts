import { hash } from 'node:crypto';
import type { ApprovalView } from '../../approvals/view-approval.ts';
import { printable, printableJson } from '../../domain/visible-text.ts';

/** HTML whose every value from outside is text, with what people do not see shown as escapes (attack A25). No script anywhere. */

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd}th{width:9rem;font-weight:600}pre{white-space:pre-wrap;word-break:break-all;background:#f4f4f4;padding:.8rem;margin:0}form{margin:1.5rem 0}input{font:inherit;padding:.3rem}button{font:inherit;padding:.4rem 1.2rem;margin-right:1rem}.warn{color:#8a1c00;font-weight:600}';

/** Nothing is loaded, framed or run; forms go here only. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${hash('sha256', STYLE, 'base64')}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'X-Frame-Options': 'DENY',
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Opener-Policy': 'same-origin',
  // Not `no-referrer`: forms would then come without their Origin, which is checked.
  'Referrer-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

export function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${text(title)}</title><style>${STYLE}</style></head><body><h1>${text(title)}</h1>${body}</body></html>`;
}

/** One line of somebody's text. */
export function text(value: string): string {
  return escapeHtml(printable(value));
}

function escapeHtml(value: string): string {
  return value.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
}

export function listPage(
  open: readonly Pick<ApprovalView, 'id' | 'state' | 'tool' | 'agent' | 'reason' | 'expiresAt'>[],
  csrf: string,
): string {
  const rows = open.map(
    ({ id, state, tool, agent, reason, expiresAt }) =>
      `<tr><td><a href="/approvals/${encodeURIComponent(id)}">${text(tool)}</a></td><td>${text(state)}</td><td>${text(agent)}</td><td>${text(reason)}</td><td>${text(expiresAt)}</td></tr>`,
  );
  const table =
    rows.length === 0
      ? '<p>Nothing waits.</p>'
      : `<table><tr><th>Call</th><th>State</th><th>Agent</th><th>Why</th><th>Until</th></tr>${rows.join('')}</table>`;
  return page(
    'Approvals',
    `${table}<form method="post" action="/approvals/sign-out">${hidden('csrf', csrf)}<button>Sign out</button></form>`,
  );
}

export function approvalPage(view: ApprovalView, csrf: string, note?: string): string {
  const { reach } = view;
  const rows: (readonly [string, string])[] = [
    ['State', text(view.endReason === undefined ? view.state : `${view.state}: ${view.endReason}`)],
    ['Until', text(view.expiresAt)],
    ['Agent', text(`${view.agent}, owned by ${view.agentOwner}; ${view.workload}`)],
    ['For', text(view.user ?? 'no user: the agent acts on its own')],
    ['Task', text(`${view.task} (${view.template ?? 'unknown template'}): ${view.purpose ?? ''}`)],
    ['Call', text(`${view.method} ${view.tool}`)],
    ['Arguments', argumentsOf(view)],
    ['Held by', text(`${view.policies.join(', ')}: ${view.reason}`)],
    [
      'Reach',
      `${text(`${reach.actionClass}; environment ${reach.environment}, zone ${reach.zone}; connector owned by ${reach.connectorOwner}; credential: ${reach.credential}`)}<br>${reach.isReversible ? 'Can be undone.' : '<span class="warn">Cannot be undone.</span>'}`,
    ],
    ['Data', text([...reach.dataClasses, ...reach.resources].join(', ') || 'none named')],
    ['Labels', text(view.labels.join(', ') || 'none')],
    ...view.provenance.map(
      ({ argument, from, isTrusted }) =>
        [
          'Value of',
          `${text(`${argument}: ${from}`)}${isTrusted ? '' : ' <span class="warn">not trusted</span>'}`,
        ] as const,
    ),
    ...view.needs.map(
      ({ by, have, count, approvers, barred }) =>
        [
          'Needs',
          text(
            `${by}: ${have} of ${count} from ${approvers.join(' or ') || 'any approver'}${barred.length > 0 ? `; not the task’s ${barred.join(', nor the agent’s ')}` : ''}`,
          ),
        ] as const,
    ),
    ...view.verdicts.map(
      ({ verdict, approver, via, at, reason }) =>
        ['Verdict', text(`${verdict} by ${approver} (${via}) at ${at} ${reason}`)] as const,
    ),
  ];
  const table = rows.map(([name, value]) => `<tr><th>${name}</th><td>${value}</td></tr>`).join('');
  const said = note === undefined ? '' : `<p class="warn">${text(note)}</p>`;
  return page(
    `Approval ${view.id}`,
    `${said}<table>${table}</table>${view.state === 'pending' ? verdictForm(view, csrf) : ''}<p><a href="/approvals">All that waits</a></p>`,
  );
}

function verdictForm({ id, limit }: ApprovalView, csrf: string): string {
  const uses =
    limit > 1
      ? `<p><label>Calls of this item for the rest of the task, whatever their arguments (0: this call only, at most ${limit}) <input name="uses" type="number" min="0" max="${limit}" value="0"></label></p>`
      : '';
  return `<form method="post" action="/approvals/${encodeURIComponent(id)}">${hidden('csrf', csrf)}<p><label>Reason <input name="reason" size="50" maxlength="500"></label></p>${uses}<button name="verdict" value="approve">Approve</button><button name="verdict" value="deny">Deny</button></form>`;
}

/** A code is not used by opening the address: mail and chat programs open what they show. */
export function codePage(code: string, next: string): string {
  return page(
    'Sign in to approve',
    `<p>This link signs this browser in, once, as the account that runs the gateway.</p><form method="post" action="/approvals/sign-in">${hidden('code', code)}${hidden('next', next)}<button>Sign in</button></form>`,
  );
}

export function signInPage(isOidc: boolean, next: string): string {
  const oidc = isOidc
    ? `<p><a href="/approvals/oidc/start?next=${encodeURIComponent(next)}">Sign in with your organisation</a></p>`
    : '';
  return page(
    'Sign in to approve',
    `${oidc}<p>A terminal of the gateway’s account gives a one-time link: <code>remit approval link</code>.</p>`,
  );
}

const hidden = (name: string, value: string): string => `<input type="hidden" name="${name}" value="${text(value)}">`;

function argumentsOf({ arguments: json }: ApprovalView): string {
  if (json === undefined) return 'Kept no longer here; the trail has them.';
  return `<pre>${escapeHtml(printableJson(JSON.stringify(JSON.parse(json), null, 2)))}</pre>`;
}
