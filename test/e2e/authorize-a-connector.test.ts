import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { LeaseView } from '../../src/leases/lease-view.ts';
import { endAll, run, runJson, runToFail, startUp, type Up } from '../cli/remit.ts';
import { type FakeOauthServer, startFakeOauthServer } from '../support/fake-oauth-server.ts';
import { connectTo, type Estate, makeClient, makeEstate, recordsOf, takeTask } from '../support/whole-gateway.ts';

/** `docs/how-to/authorize-a-connector.md` as it stands, on a whole gateway: its configuration, its commands, what it says of them. */
const page = readFileSync('docs/how-to/authorize-a-connector.md', 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) => text);
const commands = blocks('sh').map((text) => text.trim().split(' ').slice(1));

/** `notes` is the page's connector; `board` one that asks for whatever its server wants; `wiki` one without refresh tokens. */
let notes: FakeOauthServer;
let board: FakeOauthServer;
let wiki: FakeOauthServer;
let estate: Estate;
let gateway: Up;
/** All that the agent and whoever reads the command line's output ever saw. */
const told: string[] = [];

const remit = async <T>(args: readonly string[]): Promise<T> => {
  const answer = await runJson<T>([...args, '--json', '--config', estate.config]);
  told.push(JSON.stringify(answer));
  return answer;
};

async function call(connector: string, tool: string): Promise<{ text: string; isError: boolean }> {
  const { token } = await takeTask(estate, 'work');
  const client = await connectTo(makeClient('legacy'), gateway, token, `/mcp/${connector}`);
  try {
    const result = await client.callTool({ name: tool, arguments: {} });
    told.push(JSON.stringify(result));
    const [content] = result.content as { text: string }[];
    return { text: content?.text ?? '', isError: result.isError === true };
  } finally {
    await client.close();
  }
}

/** Opens an address as the owner does. */
async function browse(address: string): Promise<{ status: number; text: string; callback: string }> {
  const first = await fetch(address, { redirect: 'manual' });
  const callback = first.headers.get('location') ?? '';
  const response = await fetch(callback);
  return { status: response.status, text: await response.text(), callback };
}

beforeAll(async () => {
  notes = await startFakeOauthServer({ tools: { list_notes: 'notes.read', write_note: 'notes.write' } });
  board = await startFakeOauthServer({ tools: { look: 'notes.read', pin: 'notes.admin' } });
  wiki = await startFakeOauthServer({ refresh: false, tools: { look: 'notes.read' } });
  const [first = '', last = ''] = blocks('yaml');
  const ofPage = (parse(first.replace('https://notes.example.com/mcp', notes.url)) as { connectors: object })
    .connectors;
  const shared = (parse(last) as { connectors: { notes: { credential: { mcpOauth: object } } } }).connectors.notes
    .credential;
  const profile = { class: 'read', approvedBy: 'dana@shop.example' };
  const connectors = {
    ...ofPage,
    board: {
      owner: 'dana@shop.example',
      transport: { http: { url: board.url } },
      credential: { mcpOauth: {} },
      tools: { look: profile, pin: profile },
    },
    wiki: {
      owner: 'dana@shop.example',
      transport: { http: { url: wiki.url } },
      credential: shared,
      tools: { look: profile },
    },
  };
  const work = {
    owner: 'dana@shop.example',
    purpose: 'test',
    agents: ['scribe'],
    classes: ['read'],
    tools: ['notes/*', 'board/*', 'wiki/*'],
    calls: 100,
  };
  estate = await makeEstate({
    yaml: () => stringify({ connectors, templates: { work } }, { aliasDuplicateObjects: false }),
  });
  gateway = await startUp(estate.config);
});
afterAll(async () => {
  await endAll();
  await Promise.all([notes, board, wiki].map((server) => server.close()));
});

describe('docs/how-to/authorize-a-connector.md', () => {
  it('is what is run here', () => {
    expect(commands).toEqual([
      ['connector', 'authorize', 'notes'],
      ['connector', 'authorizations'],
      ['connector', 'authorize', 'notes'],
      ['connector', 'deauthorize', 'notes'],
    ]);
  });

  it('before it was authorised nothing is called, and the owner is told what to do', async () => {
    expect(gateway.ready).toMatchObject({ tools: 0 });
    expect(await remit(['connector', 'authorizations'])).toMatchObject([
      { connector: 'notes', state: 'missing' },
      { connector: 'board', state: 'missing' },
      { connector: 'wiki', state: 'missing' },
    ]);
    await expect(call('notes', 'list_notes')).rejects.toThrow();
    const { stdout } = await run(['doctor', '--config', estate.config]);
    expect(stdout).toContain('nobody has authorised Remit at its server');
    expect(stdout).toContain('all its leases may be one access token');
    expect(notes.asked.filter((one) => one.includes('/token'))).toEqual([]);
  });

  it('L6 the owner authorises once, the agent calls, and sees no token', async () => {
    const begun = await remit<{ url: string; scopes: string[] }>(commands[0] ?? []);
    expect(begun.scopes).toEqual(['notes.read', 'notes.write']);
    const { status, text, callback } = await browse(begun.url);
    expect({ status, text }).toEqual({
      status: 200,
      text: `notes is authorised at ${notes.issuer} with notes.read notes.write. It has 2 tools. You may close this window.`,
    });
    // Once: whoever comes second with the same answer is nobody.
    expect((await fetch(callback)).status).toBe(400);
    expect(await call('notes', 'list_notes')).toEqual({ text: 'list_notes: done', isError: false });
    expect(notes.scopesOf(notes.calls.at(-1)?.token ?? '')).toEqual(['notes.read']);
    expect(await remit(commands[1] ?? [])).toMatchObject([
      { connector: 'notes', state: 'authorized', issuer: notes.issuer, scopes: ['notes.read', 'notes.write'] },
      { connector: 'board', state: 'missing' },
      { connector: 'wiki', state: 'missing' },
    ]);
  });

  it('L2 L7 each lease is a token of its own, with what revoking needs, and ends with its task', async () => {
    const { token, task } = await takeTask(estate, 'work');
    const client = await connectTo(makeClient('modern'), gateway, token, '/mcp/notes');
    await client.callTool({ name: 'list_notes', arguments: {} });
    const leased = notes.calls.at(-1)?.token ?? '';
    const [lease] = (await remit<LeaseView[]>(['lease', 'ls', '--all'])).filter((one) => one.task === task);
    expect(lease).toMatchObject({
      state: 'active',
      issuer: 'mcp_oauth',
      downstream: notes.url,
      revocation: 'next_use',
    });
    await client.close();
    await run(['task', 'end', task, '--config', estate.config]);
    await expect.poll(() => notes.admits(leased)).toBe(false);
  });

  it('a call that needs more is refused, and its owner gives more or does not', async () => {
    const { url } = await remit<{ url: string }>(['connector', 'authorize', 'board', '--scope', 'notes.read']);
    expect((await browse(url)).status).toBe(200);
    const { token } = await takeTask(estate, 'work');
    const client = await connectTo(makeClient('legacy'), gateway, token, '/mcp/board');
    const pin = () => client.callTool({ name: 'pin', arguments: {} });
    expect((await client.callTool({ name: 'look', arguments: {} })).isError).not.toBe(true);
    const refused = await pin();
    expect(refused.isError).toBe(true);
    told.push(JSON.stringify(refused));
    const [, seen] = await remit<{ missing?: string[] }[]>(['connector', 'authorizations']);
    expect(seen).toMatchObject({ connector: 'board', missing: ['notes.admin'] });
    // No agent has begun anything by it.
    expect(board.asked.filter((one) => one.includes('/authorize'))).toHaveLength(1);

    const again = await remit<{ url: string; scopes: string[] }>(['connector', 'authorize', 'board']);
    expect(again.scopes).toEqual(['notes.read', 'notes.admin', 'notes.write']);
    expect((await browse(again.url)).status).toBe(200);
    // The same task goes on, with a lease of what was authorised now.
    expect((await pin()).isError).not.toBe(true);
    await client.close();
  });

  it('L2 a server without refresh tokens needs its exception, and its leases say what they are', async () => {
    const { url } = await remit<{ url: string }>(['connector', 'authorize', 'wiki']);
    expect((await browse(url)).status).toBe(200);
    expect(await call('wiki', 'look')).toMatchObject({ isError: false });
    const leases = (await remit<LeaseView[]>(['lease', 'ls', '--all'])).filter(({ connector }) => connector === 'wiki');
    expect(leases.at(-1)).toMatchObject({
      revocation: 'expiry_only',
      scope: expect.stringContaining('shared by all leases'),
    });
    const [, , seen] = await remit<object[]>(['connector', 'authorizations']);
    expect(seen).toMatchObject({ connector: 'wiki', state: 'shared token', until: expect.stringMatching(/Z$/) });
  });

  it('what comes to the callback without having been asked for is refused', async () => {
    const at = `${gateway.url}/oauth/connector/callback`;
    for (const query of ['', '?state=made-up&code=stolen', '?code=stolen']) {
      const response = await fetch(at + query);
      expect(response.status).toBe(400);
      expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(response.headers.get('referrer-policy')).toBe('no-referrer');
    }
    expect((await fetch(at, { method: 'POST' })).status).toBe(405);
    // A gateway without https has no document that a server could fetch.
    expect((await fetch(`${gateway.url}/oauth/connector/client.json`)).status).toBe(404);
  });

  it('what the owner’s browser was told to bring is checked there, and refused on the trail', async () => {
    const { url } = await remit<{ url: string }>(['connector', 'authorize', 'board', '--scope', 'notes.read']);
    board.misdeeds.redirect = { iss: 'https://evil.example.com' };
    const { status, text } = await browse(url);
    delete board.misdeeds.redirect;
    expect(status).toBe(400);
    expect(text).toContain('board is not authorised');
    told.push(text);
  });

  it('L4 taken away, its leases and its refresh token are revoked, and nothing is called', async () => {
    const { token } = await takeTask(estate, 'work');
    const client = await connectTo(makeClient('legacy'), gateway, token, '/mcp/notes');
    await client.callTool({ name: 'list_notes', arguments: {} });
    const leased = notes.calls.at(-1)?.token ?? '';
    notes.misdeeds.refuseRevocation = true;
    const failed = await runToFail([...(commands[3] ?? []), '--config', estate.config]);
    expect(failed.code).toBe('ERR_CREDENTIAL_REVOKE');
    delete notes.misdeeds.refuseRevocation;
    expect((await client.callTool({ name: 'list_notes', arguments: {} })).isError).toBe(true);
    expect(await remit(commands[3] ?? [])).toEqual({ connector: 'notes', revoked: true });
    expect(notes.admits(leased)).toBe(false);
    expect(notes.liveRefreshTokens()).toBe(0);
    expect((await client.callTool({ name: 'list_notes', arguments: {} })).isError).toBe(true);
    await client.close();
    expect((await runToFail([...(commands[3] ?? []), '--config', estate.config])).code).toBe('ERR_NOT_FOUND');
  });

  it('all of it is on the trail, in order, by whom', async () => {
    const records = (await recordsOf(estate, 'administration')).map(({ detail }) => detail);
    const of = (connector: string) => records.filter((one) => one.connector === connector).map(({ action }) => action);
    expect(of('notes')).toEqual([
      'connector_authorize',
      'connector_authorization_answered',
      'connector_authorized',
      'connector_deauthorize',
      'connector_deauthorize',
      'connector_deauthorize',
    ]);
    expect(of('board').slice(-3)).toEqual([
      'connector_authorize',
      'connector_authorization_answered',
      'connector_authorization_refused',
    ]);
    expect(records.every(({ by }) => typeof by === 'string' && by !== '')).toBe(true);
    told.push(JSON.stringify(records));
  });

  it('L6 no token, code or secret is in anything that was said, logged or recorded', async () => {
    await gateway.stop();
    const { stdout } = await run(['audit', 'tail', '-n', '1000', '--json', '--config', estate.config]);
    const everything = [...told, stdout, gateway.stdout(), gateway.stderr()].join('\n');
    expect(everything.length).toBeGreaterThan(1_000);
    expect(everything).not.toMatch(/canary-/);
  });
});
