import { describe, expect, it } from 'vitest';
import { reachFindings, reachOf } from '../../src/compose/connectors/reach.ts';
import { buildEstate, type Estate } from '../../src/compose/estate.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import type { InventoryTool, Store } from '../../src/seams/store.ts';

const by = 'approvedBy: dana@shop.example';
const connector = (id: string, zone: string, tools: string, more = ''): string => `  ${id}:
    owner: dana@shop.example
    zone: ${zone}
    transport: { http: { url: "https://${id}.example/mcp" } }
    ${more}
    tools:
${tools}`;

const CRM = `      find: { class: read, dataClasses: [customer], source: { trust: internal }, ${by} }
      note: { class: write, sink: internal, ${by} }
`;
const WIKI = `      page: { class: read, source: { trust: untrusted }, ${by} }
      edit: { class: write, sink: internal, source: { trust: internal }, ${by} }
`;
const MAIL = `      send: { class: export, sink: external, source: { trust: internal }, critical: { to: address }, ${by} }
`;

/** The desk works with crm and wiki; letters are sent by another agent, which reads the wiki. */
function estateWith(options: { crm?: string; desk?: string; letters?: string } = {}): Estate {
  const text = `version: 1
agents:
  scribe: { owner: dana@shop.example, publicKeys: scribe.jwks.json }
  clerk: { owner: dana@shop.example, publicKeys: clerk.jwks.json }
connectors:
${connector('crm', 'customers', CRM, options.crm)}${connector('wiki', 'internal', WIKI)}${connector('mail', 'internal', MAIL)}${connector('alone', 'internal', WIKI)}
templates:
  desk: { owner: dana@shop.example, purpose: desk, agents: [scribe], classes: [read, write], tools: ["crm/*", "wiki/*"], resources: ["crm:accounts"], ${options.desk ?? ''} }
  letters: { owner: eve@shop.example, purpose: letters, agents: [clerk], classes: [${options.letters ?? 'read, export'}], tools: ["wiki/*", "mail/*"] }
  watch: { owner: dana@shop.example, purpose: watch, agents: [clerk], classes: [read], tools: ["alone/page"] }
`;
  return buildEstate(parseConfig(text, 'remit.yaml'));
}

const seen = (...tools: Partial<InventoryTool>[]) =>
  ({ inventory: { tools: async () => tools } }) as unknown as Pick<Store, 'inventory'>;

describe('F20 R72 who approves a connector sees all that is reachable through it', () => {
  it('its items, who may use them, what else the same task may do, and what can be chained', async () => {
    const reach = await reachOf('crm', estateWith(), seen({ status: 'described' }, { status: 'undescribed' }));
    expect(reach.items.map(({ ref }) => ref)).toEqual(['crm/find', 'crm/note']);
    expect(reach).toMatchObject({ notCallable: 1, isListed: true, credential: 'none', reviewed: undefined });
    expect(reach.templates).toEqual([
      {
        template: 'desk',
        owner: 'dana@shop.example',
        purpose: 'desk',
        agents: ['scribe'],
        items: ['crm/find', 'crm/note'],
        resources: ['crm:accounts'],
        alongside: [{ connector: 'wiki', items: ['wiki/edit', 'wiki/page'] }],
      },
    ]);
    expect(reach.chains).toEqual([
      // A customer’s data into the wiki: another zone, so that the rules of flow hold it.
      {
        template: 'desk',
        from: 'crm',
        reads: ['customer'],
        isUntrusted: true,
        by: 'wiki/edit',
        sink: 'internal',
        heldBy: 'remit:zone',
      },
      // What strangers wrote in the wiki into the crm.
      {
        template: 'desk',
        from: 'wiki',
        reads: [],
        isUntrusted: true,
        by: 'crm/note',
        sink: 'internal',
        heldBy: 'remit:zone',
      },
    ]);
  });

  it('where data can come to over tasks of others: out of the crm into the wiki, and from there into letters', async () => {
    const { onward } = await reachOf('crm', estateWith(), seen());
    expect(onward).toEqual([
      { connector: 'wiki', zone: 'internal', path: ['crm', 'wiki'], templates: ['desk'] },
      { connector: 'mail', zone: 'internal', path: ['crm', 'wiki', 'mail'], templates: ['desk', 'letters'] },
    ]);
    // Nothing is carried by what only reads, or by a class that no template allows.
    expect((await reachOf('crm', estateWith({ letters: 'read' }), seen())).onward).toHaveLength(1);
    expect((await reachOf('alone', estateWith(), seen())).onward).toEqual([]);
  });

  it('a crossing that the template allows is not shown as held', async () => {
    const { chains } = await reachOf(
      'crm',
      estateWith({ desk: 'flow: { crossings: ["customers>internal"] }' }),
      seen(),
    );
    expect(chains.map(({ by: item, heldBy }) => [item, heldBy])).toEqual([
      ['wiki/edit', undefined],
      ['crm/note', 'remit:zone'],
    ]);
  });

  it('says that a server has never been listed: what it has besides is not known', async () => {
    expect(await reachOf('crm', estateWith(), seen())).toMatchObject({ isListed: false });
  });

  it('refuses a connector that is not there', async () => {
    await expect(reachOf('nothing', estateWith(), seen())).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});

describe('F20 a review is of the whole that was shown', () => {
  const reviewed = async (as: Parameters<typeof estateWith>[0]): Promise<string> => {
    const { digest } = await reachOf('crm', estateWith(as), seen());
    return `reviewed: { by: dana@shop.example, at: "2026-11-28T12:00:00Z", reach: "${digest}" }`;
  };
  const findingsOf = (estate: Estate) => reachFindings(estate).filter(({ refs: [ref] }) => ref === 'connectors.crm');

  it('one that nobody has reviewed is a finding where its reach goes beyond it', () => {
    const findings = reachFindings(estateWith());
    expect(findings.map(({ kind, refs: [ref], severity }) => [kind, ref, severity])).toEqual([
      ['reach_not_reviewed', 'connectors.crm', 'low'],
      ['reach_not_reviewed', 'connectors.wiki', 'low'],
    ]);
    expect(findings[0]?.text).toContain('wiki, mail');
  });

  it('a reviewed one is none, until another team’s template lets it reach further', async () => {
    const crm = await reviewed({ letters: 'read' });
    expect(findingsOf(estateWith({ crm, letters: 'read' }))).toEqual([]);
    // Nothing of the crm or of its own template has changed: letters are sent now, of what its data may have come to.
    const grown = expect.objectContaining({ kind: 'reach_changed', severity: 'high', next: expect.any(String) });
    expect(findingsOf(estateWith({ crm }))).toEqual([grown]);
    const crossing = 'flow: { crossings: ["customers>internal"] }';
    expect(findingsOf(estateWith({ crm, letters: 'read', desk: crossing }))).toEqual([grown]);
  });
});
