import { describe, expect, it } from 'vitest';
import { createItemLister, type ItemListerParts } from '../../src/compose/connectors/list-tools.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { connectorId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { OpenUpstream, UpstreamReply } from '../../src/seams/upstream.ts';
import { CONNECTOR, heldLease, TENANT } from '../support/fake-gateway-parts.ts';
import { createMemoryTasks } from '../support/fake-memory-repositories.ts';

const METHOD_NOT_FOUND: UpstreamReply = { error: { code: -32601, message: 'Method not found' } };
const NO_LOGIN = new RemitError('ERR_CONNECTOR_UNREACHABLE', 'the server exited: no PGUSER');

interface Server {
  readonly capabilities?: JsonObject;
  readonly lists?: Readonly<Record<string, JsonObject>>;
  /** Over stdio where left out. */
  readonly transport?: JsonObject;
  /** Whether it opens under this injection. */
  readonly opens?: (request: OpenUpstream) => boolean;
  readonly isSuspended?: boolean;
}

const SUSPENDED = new RemitError('ERR_CONNECTOR_UNREACHABLE', 'the connector is suspended');

/** A lister over one server, with everything that it did on the way. */
function makeWorld(server: Server, credential?: 'static' | 'postgres', lease: 'given' | 'refused' = 'given') {
  const opened: OpenUpstream[] = [];
  const asked: string[] = [];
  const done: string[] = [];
  const warned: string[] = [];
  const tasks = createMemoryTasks();
  const log = { warn: (fields: object, text: string) => void warned.push(`${JSON.stringify(fields)} ${text}`) };
  const lister = createItemLister({
    workspace: {
      store: { tasks },
      system: { clock: () => 1_000, random: (size: number) => new Uint8Array(size), log },
      estate: {
        tenant: TENANT,
        connectors: new Map([[CONNECTOR, { config: { transport: server.transport ?? { stdio: {} } } }]]),
      },
    },
    openers: new Map([
      [
        CONNECTOR,
        {
          open: async (request: OpenUpstream) => {
            opened.push(request);
            if (server.opens?.(request) === false) throw NO_LOGIN;
            return {
              capabilities: server.capabilities ?? {},
              request: async ({ method }: { method: string }) => {
                asked.push(method);
                const result = server.lists?.[method];
                return result === undefined ? METHOD_NOT_FOUND : { result, resultText: JSON.stringify(result) };
              },
              close: async () => void done.push('closed'),
            };
          },
        },
      ],
    ]),
    issuers: new Map(credential === undefined ? [] : [[CONNECTOR, { issuer: { kind: credential } }]]),
    leases: {
      acquire: (task: Parameters<typeof heldLease>[0]) => {
        done.push(`leased for ${JSON.stringify(task.bounds)}`);
        if (lease === 'refused') throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the database is down');
        return heldLease(task, CONNECTOR);
      },
      revokeTask: async () => void done.push('revoked'),
    },
    recorder: {
      record: async ({ type, detail }: { type: string; detail: object }) =>
        void done.push(`${type} ${JSON.stringify(detail)}`),
    },
    timeoutMs: () => 1_000,
    assertServed: () => {
      if (server.isSuspended === true) throw SUSPENDED;
    },
  } as unknown as ItemListerParts);
  return { list: () => lister(CONNECTOR), opened, asked, done, warned, tasks };
}

const TOOLS = { 'tools/list': { tools: [{ name: 'a' }] } };
const BARE = '{"actionClasses":[],"tools":[],"resources":[],"calls":0}';
const isLeased = ({ injection }: OpenUpstream): boolean => Object.keys(injection.headers).length > 0;

describe('the listing of a connector', () => {
  it('asks for the kinds that the server says it has, in the era of servers before all', async () => {
    const world = makeWorld({
      capabilities: { tools: {}, prompts: {}, resources: {} },
      lists: {
        ...TOOLS,
        'prompts/list': { prompts: [{ name: 'p' }] },
        'resources/templates/list': { resourceTemplates: [{ uriTemplate: 'x:{a}' }] },
      },
    });
    expect(await world.list()).toEqual({
      tools: [{ name: 'a' }],
      prompts: [{ name: 'p' }],
      templates: [{ uriTemplate: 'x:{a}' }],
    });
    expect(world.opened).toMatchObject([{ connector: CONNECTOR, prefer: 'legacy', clientCapabilities: {} }]);
    expect(world.done).toEqual(['closed', expect.stringMatching(/^discovery .*"tools":1,"prompts":1,"templates":1/)]);
    expect([...world.tasks.rows.values()]).toMatchObject([{ agent: 'remit', state: 'ended' }]);
  });

  it('over HTTP in the era that needs no session', async () => {
    const world = makeWorld({ transport: { http: {} }, lists: TOOLS });
    await world.list();
    expect(world.opened).toMatchObject([{ prefer: 'modern' }]);
  });

  it('asks for no prompts and no resources of a server that has none', async () => {
    const world = makeWorld({ lists: TOOLS });
    await world.list();
    expect(world.asked).toEqual(['tools/list']);
  });

  it('takes resources without templates, and prompts without tools', async () => {
    const world = makeWorld({
      capabilities: { prompts: {}, resources: {} },
      lists: { 'prompts/list': { prompts: [{ name: 'p' }] } },
    });
    expect(await world.list()).toEqual({ tools: [], prompts: [{ name: 'p' }], templates: [] });
  });

  it('V2 of a suspended connector is not made: it is refused before a task, a connection or a lease is asked for', async () => {
    const lister = createItemLister({
      assertServed() {
        throw new RemitError('ERR_CONNECTOR_UNREACHABLE', 'it is suspended');
      },
      workspace: { store: {}, system: {}, estate: {} },
    } as unknown as ItemListerParts);
    await expect(lister(CONNECTOR)).rejects.toMatchObject({ message: 'it is suspended' });
  });

  it('of an unknown connector is refused', async () => {
    const parts = makeWorld({});
    expect(parts.opened).toEqual([]);
    await expect(
      createItemLister({
        workspace: {
          store: { tasks: createMemoryTasks() },
          system: { clock: () => 1, random: (size: number) => new Uint8Array(size) },
          estate: { tenant: TENANT, connectors: new Map() },
        },
        openers: new Map(),
        issuers: new Map(),
        assertServed: () => {},
      } as unknown as ItemListerParts)(connectorId('nobody')),
    ).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});

describe('L1 a credential for the listing', () => {
  it('is not made while the connector is suspended, nor is it spoken to', async () => {
    const world = makeWorld({ lists: TOOLS, isSuspended: true }, 'static');
    await expect(world.list()).rejects.toBe(SUSPENDED);
    expect([world.opened, world.done, [...world.tasks.rows]]).toEqual([[], [], []]);
  });

  it('a static one is leased at once, and given back', async () => {
    const world = makeWorld({ lists: TOOLS }, 'static');
    await world.list();
    expect(world.opened.map(isLeased)).toEqual([true]);
    expect(world.done.filter((step) => !step.startsWith('discovery'))).toEqual([
      `leased for ${BARE}`,
      'closed',
      'revoked',
    ]);
  });

  it('a database role is not made for a server that lists without one', async () => {
    const world = makeWorld({ lists: TOOLS }, 'postgres');
    await world.list();
    expect(world.opened.map(isLeased)).toEqual([false]);
    expect(world.done.join()).not.toContain('leased');
  });

  it('one without any right is made, once, for a server that does not start without one', async () => {
    const world = makeWorld({ lists: TOOLS, opens: isLeased }, 'postgres');
    expect((await world.list()).tools).toEqual([{ name: 'a' }]);
    expect(world.opened.map(isLeased)).toEqual([false, true]);
    expect(world.done.filter((step) => step.startsWith('leased'))).toEqual([`leased for ${BARE}`]);
    expect(world.done.at(-1)).toBe('revoked');
  });

  it('nor does it help a server that starts under none', async () => {
    const world = makeWorld({ lists: TOOLS, opens: () => false }, 'postgres');
    await expect(world.list()).rejects.toBe(NO_LOGIN);
    expect(world.opened).toHaveLength(2);
    expect(world.done.at(-1)).toBe('revoked');
    expect([...world.tasks.rows.values()]).toMatchObject([{ state: 'ended' }]);
  });

  it('where none can be made, why is told before what the server said without one, and logged', async () => {
    const world = makeWorld({ lists: TOOLS, opens: isLeased }, 'postgres', 'refused');
    await expect(world.list()).rejects.toMatchObject({
      code: NO_LOGIN.code,
      message: 'no credential could be had for it: the database is down. Without one: the server exited: no PGUSER',
      cause: NO_LOGIN,
    });
    expect(world.warned).toEqual([expect.stringMatching(/"ERR_CREDENTIAL_ISSUE".* the database is down$/)]);
  });

  it('none is tried for a connector that has none', async () => {
    const world = makeWorld({ opens: () => false });
    await expect(world.list()).rejects.toBe(NO_LOGIN);
    expect(world.opened).toHaveLength(1);
  });
});
