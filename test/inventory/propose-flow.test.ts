import { expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { connectorId } from '../../src/domain/ids.ts';
import { proposeProfile } from '../../src/inventory/propose-profile.ts';

/** Proposals of flow: from names and schemas alone. What a server says of itself, in words or annotations, changes nothing. */

function propose(name: string, args: readonly string[] = [], more: object = {}) {
  const properties = Object.fromEntries(args.map((one) => [one, { type: 'string' }]));
  const raw = { name, inputSchema: { type: 'object', properties }, ...more };
  return proposeProfile({
    connector: connectorId('some'),
    name,
    description: '',
    raw,
    fingerprint: `sha256:${'0'.repeat(64)}`,
  });
}

it.each([
  ['send_message', ['to', 'body'], 'export', 'external', { to: 'address' }],
  ['sendMoney', ['recipient', 'amount'], 'financial', 'money', { recipient: 'address' }],
  ['pay_invoice', ['iban', 'amount'], 'financial', 'money', { iban: 'account' }],
  ['create_event', ['title', 'participants'], 'write', 'external', { participants: 'address' }],
  ['delete_page', ['page_id'], 'write', 'destroy', { page_id: 'page' }],
  ['change_password', ['password'], 'secret', 'admin', { password: 'secret' }],
  ['grant_role', ['user', 'role'], 'privilege', 'admin', { user: 'user' }],
  ['get_webpage', ['url'], 'read', 'fetch', { url: 'url' }],
  ['share_document', ['document_id', 'email'], 'export', 'external', { email: 'address' }],
  ['write_file', ['path', 'content'], 'write', 'internal', undefined],
  ['search_issues', ['query'], 'read', undefined, undefined],
  ['frobnicate', ['id'], 'write', 'internal', undefined],
])('%s(%j) is of class %s, its sink %s, critical are %j', (name, args, actionClass, sink, critical) => {
  const { class: proposed, flow } = propose(name, args);
  expect([proposed, flow?.sink, flow?.critical]).toEqual([actionClass, sink, critical]);
});

it.each([
  ['get_recent_payments', 'read'],
  ['list_invoices', 'read'],
  ['list_permissions', 'read'],
  ['get_secret', 'secret'],
  ['list_and_delete', 'write'],
])('%s, of which the name says what it reads, is of class %s', (name, actionClass) => {
  expect(propose(name).class).toBe(actionClass);
});

it('what comes back is untrusted unless it is the user’s own, whatever the server says of itself', () => {
  for (const annotations of [undefined, { readOnlyHint: true, openWorldHint: false }]) {
    expect(propose('search_mail', [], { annotations }).flow?.source.trust).toBe('untrusted');
    expect(propose('get_contacts', [], { annotations }).flow?.source.trust).toBe('trusted');
    expect(propose('delete_page', ['page_id'], { annotations }).flow?.sink).toBe('destroy');
  }
});

it('fields are members of the output schema that look like ids and addresses', () => {
  const outputSchema = {
    type: 'object',
    properties: {
      mails: { type: 'array', items: { type: 'object', properties: { mail_id: {}, sender_email: {}, body: {} } } },
    },
  };
  expect(propose('search_mail', [], { outputSchema }).flow?.source.fields).toEqual({
    mail_id: 'mail',
    sender_email: 'address',
  });
});

it('a proposal is a profile that the configuration takes', () => {
  const { class: actionClass, flow } = propose('send_message', ['to']);
  const tools = { send_message: { class: actionClass, ...flow, approvedBy: 'dana@shop.example' } };
  const connectors = {
    some: { owner: 'dana@shop.example', transport: { http: { url: 'https://some.example/mcp' } }, tools },
  };
  expect(configSchema.parse({ version: 1, connectors }).connectors.some?.tools.send_message?.asked).toContain('send');
});
