import { describe, expect, it } from 'vitest';
import { connectorId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { offer } from '../../src/gateway/methods/offer.ts';
import type { UpstreamReply } from '../../src/seams/upstream.ts';
import {
  CONNECTOR,
  decision,
  type FakeGateway,
  makeClientRequest,
  makeGateway,
  makeItem,
  makeTask,
  makeTool,
} from '../support/fake-gateway-parts.ts';

const DOCS = connectorId('docs');
const small = (result: JsonObject): UpstreamReply => ({ result, resultText: JSON.stringify(result) });

async function list(fake: FakeGateway, method: string, more: Partial<ClientRequest> = {}, task = makeTask('tsk_a')) {
  const { reply, recordOutcome } = await handleMethod(
    fake.gateway,
    fake.caller(task),
    makeClientRequest(method, more.params ?? {}, more),
  );
  recordOutcome?.();
  if (!('resultText' in reply)) throw new Error(JSON.stringify(reply));
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it freely
  return JSON.parse(reply.resultText) as any;
}

const uris = (listed: { resources: { uri: string }[] }): string[] => listed.resources.map(({ uri }) => uri);

describe('lists out of the catalogue', () => {
  const prompts = [makeItem('prompt', 'summarise'), makeItem('prompt', 'secret', { status: 'undescribed' })];
  const manuals = makeItem('resource', 'docs://manuals/*');
  const templates = [
    {
      connector: CONNECTOR,
      raw: { uriTemplate: 'docs://manuals/{id}', name: 'm', icons: [{ src: 'x' }] },
      item: manuals,
    },
    {
      connector: CONNECTOR,
      raw: { uriTemplate: 'docs://changed/{id}' },
      item: { ...manuals, status: 'quarantined' as const },
    },
    { connector: CONNECTOR, raw: { uriTemplate: 'hr://salaries/{id}' }, item: undefined },
  ];

  it('fault 37: undescribed prompts and templates are counted and not shown, and each list is one discovery record', async () => {
    const fake = makeGateway({ tools: [...prompts, manuals], templates });
    const prompted = await list(fake, 'prompts/list');
    expect(prompted.prompts).toEqual([{ name: 'shop__summarise', description: 'the summarise prompt' }]);
    expect(prompted._meta['io.remit/withheld']).toEqual({ undescribed: 1, quarantined: 0, withheld: 0 });
    const listed = await list(fake, 'resources/templates/list');
    expect(listed.resourceTemplates).toEqual([{ uriTemplate: 'docs://manuals/{id}', name: 'm' }]);
    expect(listed._meta['io.remit/withheld']).toEqual({ undescribed: 1, quarantined: 1, withheld: 0 });
    expect(fake.records.map(({ type, detail }) => [type, detail.method, detail.shown])).toEqual([
      ['discovery', 'prompts/list', ['shop/prompt:summarise']],
      ['discovery', 'resources/templates/list', ['shop/resource:docs://manuals/*']],
    ]);
    expect(JSON.stringify([prompted, listed])).not.toMatch(/secret|salaries|icons/);
  });

  it.each(['prompts/list', 'resources/templates/list', 'tools/list'])(
    'D2 %s shows what discovery permits, and no more',
    async (method) => {
      const fake = makeGateway({
        tools: [...prompts, manuals, makeTool('orders')],
        templates,
        decideDiscovery: () => decision('deny'),
      });
      const listed = await list(fake, method);
      expect(Object.values(listed).find(Array.isArray)).toEqual([]);
      expect(listed._meta['io.remit/withheld'].withheld).toBe(1);
    },
  );

  it('A21 names: prefixed on the path of all, the server’s own on a connector’s own path, which shows that connector only', async () => {
    const tools = [
      makeTool('orders'),
      makeItem('tool', 'orders', { connector: DOCS }),
      makeItem('tool', 'añadir', { connector: DOCS }),
    ];
    const fake = makeGateway({ tools });
    const names = async (scope?: typeof DOCS): Promise<string[]> =>
      (await list(fake, 'tools/list', { scope })).tools.map((tool: { name: string }) => tool.name);
    expect(await names()).toEqual(['shop__orders', 'docs__orders', expect.stringMatching(/^docs__/)]);
    const own = await names(DOCS);
    expect(own[0]).toBe('orders');
    expect(own[1]).toMatch(/^[A-Za-z0-9_./-]+$/);
    for (const [at, name] of own.entries()) {
      await handleMethod(fake.gateway, fake.caller(), makeClientRequest('tools/call', { name }, { scope: DOCS }));
      expect(
        fake.records.find(({ type, span }) => type === 'decision' && span === fake.records.at(-1)?.span)?.tool,
      ).toBe(['docs/orders', 'docs/añadir'][at]);
    }
    expect(JSON.parse(fake.forwarded[0] as string).name).toBe('orders');
  });

  it('I1 a definition that cannot be written out costs no other tool its place', async () => {
    let deep: unknown = 'end';
    for (let level = 0; level < 60_000; level += 1) deep = { deep };
    const bomb = makeItem('tool', 'bomb', { raw: { inputSchema: { type: 'object', deep } } });
    const fake = makeGateway({ tools: [bomb, makeTool('orders')] });
    expect((await list(fake, 'tools/list')).tools.map(({ name }: { name: string }) => name)).toEqual(['shop__orders']);
    expect(fake.records[0]?.detail).toMatchObject({ shown: ['shop/orders'], withheld: 1 });
  });

  it('modern lists say that nobody may keep them', async () => {
    const listed = await list(makeGateway(), 'tools/list', { era: 'modern' });
    expect(listed).toMatchObject({ resultType: 'complete', ttlMs: 0, cacheScope: 'private' });
    expect(await list(makeGateway(), 'tools/list')).not.toHaveProperty('resultType');
  });

  it('fault 31: above 1,000 items a sealed cursor leads on; any other cursor is refused', async () => {
    const tools = Array.from({ length: 2_500 }, (_, at) => makeTool(`t${at}`));
    const fake = makeGateway({ tools, tasks: [makeTask('tsk_a'), makeTask('tsk_b')] });
    const names: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await list(fake, 'tools/list', { params: cursor === undefined ? {} : { cursor } });
      names.push(...page.tools.map((tool: { name: string }) => tool.name));
      cursor = page.nextCursor;
      pages += 1;
    } while (cursor !== undefined && pages < 10);
    expect(pages).toBe(3);
    expect(new Set(names).size).toBe(2_500);

    const { nextCursor } = await list(fake, 'tools/list');
    const tried: [string, unknown, string][] = [
      ['tools/list', 'eyJwYWdlIjoyfQ', 'tsk_a'],
      ['tools/list', 7, 'tsk_a'],
      ['prompts/list', nextCursor, 'tsk_a'],
      ['resources/list', nextCursor, 'tsk_a'],
      // Attack A17: of another task.
      ['tools/list', nextCursor, 'tsk_b'],
    ];
    for (const [method, given, task] of tried) {
      await expect(list(fake, method, { params: { cursor: given } }, makeTask(task))).rejects.toThrow('-32602');
    }
  });
});

describe('resources/list asks the servers', () => {
  const manuals = makeItem('resource', 'docs://manuals/*');
  const files = makeItem('resource', 'file:///srv/**', { connector: DOCS });
  const listing = (...entries: JsonObject[]) => small({ resources: entries });

  it('shows what a described pattern covers, cleaned, and records the listing before and after', async () => {
    const fake = makeGateway({
      tools: [manuals, files],
      reply: async (_, { connector }) =>
        connector === DOCS
          ? listing({ uri: 'file:///srv/a', name: 'a' }, { uri: 'file:///etc/passwd', name: 'no' })
          : listing(
              {
                uri: 'docs://manuals/a',
                name: 'A\u202e\u001b[31m',
                description: 'x\u200b',
                icons: [1],
                _meta: { a: 1 },
                size: 3,
              },
              { uri: 'docs://manuals/../x', name: 'no' },
              { uri: 'docs://manuals/a/b', name: 'no' },
              { name: 'no' },
            ),
    });
    const listed = await list(fake, 'resources/list');
    expect(listed.resources).toEqual([
      { uri: 'docs://manuals/a', name: 'A', description: 'x', size: 3 },
      { uri: 'file:///srv/a', name: 'a' },
    ]);
    expect(listed._meta['io.remit/withheld']).toEqual({ undescribed: 4, quarantined: 0, withheld: 0, unavailable: [] });
    expect(fake.events[0]).toBe('record:discovery');
    expect(fake.records.at(-1)).toMatchObject({ type: 'outcome', detail: { status: 'ok', shown: 2 } });
  });

  it('D2 a pattern that discovery denies is not asked for', async () => {
    const fake = makeGateway({
      tools: [manuals, files],
      decideDiscovery: ({ tool }) => decision(tool.connector === DOCS ? 'permit' : 'deny'),
      reply: async () => listing({ uri: 'file:///srv/a', name: 'a' }, { uri: 'docs://manuals/a', name: 'no' }),
    });
    const listed = await list(fake, 'resources/list');
    expect(uris(listed)).toEqual(['file:///srv/a']);
    expect(fake.forwarded).toHaveLength(1);
    expect(listed._meta['io.remit/withheld'].withheld).toBe(1);
  });

  it('follows pages', async () => {
    const fake = makeGateway({
      tools: [manuals],
      reply: async (_, __, { params }) =>
        params === ''
          ? small({ resources: [{ uri: 'docs://manuals/1', name: '1' }], nextCursor: 'n' })
          : listing({ uri: 'docs://manuals/2', name: '2' }),
    });
    expect(uris(await list(fake, 'resources/list'))).toEqual(['docs://manuals/1', 'docs://manuals/2']);
  });

  it('fault 31: a cursor that never advances costs that connector its place, and no other', async () => {
    const fake = makeGateway({
      tools: [manuals, files],
      reply: async (_, { connector }) =>
        connector === DOCS
          ? listing({ uri: 'file:///srv/a', name: 'a' })
          : small({ resources: [{ uri: 'docs://manuals/1', name: '1' }], nextCursor: 'again' }),
    });
    const listed = await list(fake, 'resources/list');
    expect(uris(listed)).toEqual(['file:///srv/a']);
    expect(listed._meta['io.remit/withheld'].unavailable).toEqual(['shop']);
    expect(fake.records.at(-1)?.detail).toMatchObject({ status: 'partial', unavailable: ['shop'] });
    expect(fake.forwarded.length).toBeLessThan(5);
  });

  it('a URI that two connectors describe is shown on their own paths only', async () => {
    const twin = makeItem('resource', 'docs://**', { connector: DOCS });
    const reply = async () => listing({ uri: 'docs://manuals/1', name: '1' });
    const fake = makeGateway({ tools: [manuals, twin], reply });
    expect(uris(await list(fake, 'resources/list'))).toEqual([]);
    expect(uris(await list(fake, 'resources/list', { scope: DOCS }))).toEqual(['docs://manuals/1']);
    const read = (scope?: typeof DOCS) =>
      handleMethod(
        fake.gateway,
        fake.caller(),
        makeClientRequest('resources/read', { uri: 'docs://manuals/1' }, { scope }),
      );
    expect((await read()).reply).toMatchObject({
      error: { code: -32602, message: expect.stringContaining('/mcp/shop or /mcp/docs') },
    });
    expect((await read(CONNECTOR)).reply).toHaveProperty('resultText');
  });

  it('L6 a credential in a listing is withheld', async () => {
    const fake = makeGateway({
      tools: [manuals],
      tasks: [makeTask('tsk_listing')],
      reply: async () => listing({ uri: 'docs://manuals/1', name: 'secret of tsk_listing' }),
    });
    const listed = await list(fake, 'resources/list', {}, makeTask('tsk_listing'));
    expect(JSON.stringify(listed)).not.toContain('secret of tsk_listing');
    expect(uris(listed)).toEqual(['docs://manuals/1']);
  });
});

describe('resources by URI', () => {
  const read = (fake: FakeGateway, uri: string, era: 'legacy' | 'modern' = 'legacy') =>
    handleMethod(fake.gateway, fake.caller(), makeClientRequest('resources/read', { uri }, { era }));

  it.each([
    'docs://manuals/../secret',
    'docs://manuals/%2e%2e/secret',
    'docs://manuals/%252e%252e/secret',
    'docs://manuals/a%2fb',
    'docs://manuals//a',
    'docs://manuals\\a',
    'docs://manuals/a\u0000',
    'docs://manuals/a\u202e',
    'docs://manuals/?x=../../etc',
    `docs://manuals/${'a'.repeat(2_100)}`,
    'manuals/a',
  ])('D4 a URI with more than one reading is refused before a policy sees it: %j', async (uri) => {
    let decisions = 0;
    const fake = makeGateway({
      tools: [makeItem('resource', 'docs://**')],
      decideCall: () => {
        decisions += 1;
        return decision('permit');
      },
    });
    expect((await read(fake, uri)).reply).toMatchObject({ error: { code: -32602 } });
    expect(decisions).toBe(0);
    expect(fake.records[0]).toMatchObject({ type: 'decision', detail: { policies: ['remit:uri'], verdict: 'deny' } });
  });

  it('what nobody describes is not found: −32002 in the legacy era, −32602 with its URI in the modern one', async () => {
    const fake = makeGateway({ tools: [makeItem('resource', 'docs://manuals/*')] });
    const uri = 'hr://salaries/1';
    expect((await read(fake, uri)).reply).toMatchObject({ error: { code: -32002, data: { uri } } });
    expect((await read(fake, uri, 'modern')).reply).toMatchObject({ error: { code: -32602, data: { uri } } });
    expect(fake.events).toEqual(['record:decision', 'record:decision']);
  });

  it('the most exact pattern of a connector is what is decided on', async () => {
    const fake = makeGateway({
      tools: ['docs://**', 'docs://manuals/*', 'docs://manuals/a'].map((pattern) => makeItem('resource', pattern)),
    });
    for (const uri of ['docs://manuals/a', 'docs://manuals/b', 'docs://manuals/b/c']) await read(fake, uri);
    expect(fake.records.filter(({ type }) => type === 'decision').map(({ tool }) => tool)).toEqual([
      'shop/resource:docs://manuals/a',
      'shop/resource:docs://manuals/*',
      'shop/resource:docs://**',
    ]);
    expect(fake.records[0]?.input).toBe('{"uri":"docs://manuals/a"}');
  });
});

describe('what is offered', () => {
  it('is what owners have described on the path, for both eras', () => {
    const tools = [
      makeTool('orders'),
      makeItem('prompt', 'p', { connector: DOCS }),
      makeItem('resource', 'a:*', { connector: DOCS }),
    ];
    const fake = makeGateway({ tools });
    const all = offer(fake.gateway, fake.caller(), undefined).capabilities;
    expect(Object.keys(all).sort()).toEqual(['completions', 'extensions', 'logging', 'prompts', 'resources', 'tools']);
    const shop = offer(fake.gateway, fake.caller(), CONNECTOR).capabilities;
    expect(Object.keys(shop).sort()).toEqual(['extensions', 'logging', 'tools']);
    const undescribed = makeGateway({ tools: tools.map((item) => ({ ...item, status: 'undescribed' as const })) });
    expect(Object.keys(offer(undescribed.gateway, undescribed.caller(), undefined).capabilities)).toEqual([
      'tools',
      'logging',
    ]);
  });
});
