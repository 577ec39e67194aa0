import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load-config.ts';

/**
 * F1 to F22: how agents' access goes wrong elsewhere, as the project's requirements name it. Each has a negative case: what would have gone wrong does
 * not. A row names a test that proves it.
 */
const PROVEN: readonly (readonly [failure: string, what: string, file: string, title: string])[] = [
  [
    'F1',
    'a stolen credential is used elsewhere',
    'issuers/jwt-issuer.test.ts',
    'R49 a task token is refused by a connector: of another type, for another audience',
  ],
  [
    'F2',
    'one credential across tools, environments and tenants',
    'cli/secrets.test.ts',
    'R02 the gateway does not start where two connectors use one secret, unless an exception names both, and the finding stays',
  ],
  [
    'F3',
    'a connector outlives its request',
    'upstreams/containment.test.ts',
    'I3, fault 23: leaves no child and no daemonised grandchild after kill −9 of the gateway',
  ],
  [
    'F4',
    'authenticated once, acting across many services',
    'flow/rules.test.ts',
    'a task reaches as far as its template says',
  ],
  [
    'F5',
    'the human’s session masks the machine',
    'audit/to-ocsf.test.ts',
    'A2 keeps the human and the machine apart, and the ids that join the story',
  ],
  [
    'F6',
    'a human’s right is inherited that is none',
    'http/authzen.test.ts',
    'D3 of every link: a user or an actor without the right denies',
  ],
  [
    'F7',
    'discovery is taken for authorisation',
    'gateway/govern-call.test.ts',
    'D2 listing and calling are separate decisions: listed is not callable, callable need not be listed',
  ],
  [
    'F8',
    'a chain of harmless tools',
    'e2e/stored-labels.test.ts',
    'F8 what a task that has read a stranger’s text stores is that text for every other task, also after kill −9',
  ],
  [
    'F9',
    'a benign request becomes lateral movement',
    'e2e/how-to-data-flow.test.ts',
    'F9 what was read of a marked class does not go where the template lets the rest go',
  ],
  [
    'F10',
    'several teams, no owner',
    'requirements/failures.test.ts',
    'F10 F18 what has no owner is not served: neither connector, agent, template nor approved tool',
  ],
  [
    'F11',
    'secrets in configuration, staging is production',
    'cli/secrets.test.ts',
    'R56 refuses the same secret under another name, and says so on the trail without a value',
  ],
  [
    'F12',
    'a read-only token is exchanged for more',
    'issuers/postgres-issuer.test.ts',
    'for read cannot write by the escape of the known read-only server: COMMIT, then INSERT',
  ],
  [
    'F13',
    'the upstream’s grant is too broad',
    'issuers/mcp-oauth/mcp-oauth-issuer.test.ts',
    'is not asked for with a scope that its owner did not authorise',
  ],
  [
    'F14',
    'the agent is faster than the approval',
    'flow/rules.test.ts',
    'F14 a held call changes nothing, so that trying again is held again',
  ],
  [
    'F15',
    'metadata is used without being checked again',
    'inventory/catalogue.test.ts',
    'under a profile with a fingerprint, another definition is quarantined until that one is approved',
  ],
  [
    'F16',
    'nothing can be attributed to one run',
    'gateway/govern-call.test.ts',
    'F16 R16 two runs that differ in nothing, with one secret at one server, are told apart in every record',
  ],
  [
    'F17',
    'a legacy hub cannot tell tasks apart',
    'gateway/legacy-connectors.test.ts',
    'serves the tools of its exception and no other, whatever policies permit',
  ],
  [
    'F18',
    'whose the pipeline’s agent is, is unclear',
    'requirements/failures.test.ts',
    'F10 F18 what has no owner is not served: neither connector, agent, template nor approved tool',
  ],
  [
    'F19',
    'who did what, for how long and why cannot be told',
    'explain/why.test.ts',
    'tells a permitted call from who made it to what it read, gate by gate',
  ],
  [
    'F20',
    'one connection was reviewed, not all that is reachable through it',
    'compose/reach.test.ts',
    'where data can come to over tasks of others: out of the crm into the wiki, and from there into letters',
  ],
  [
    'F20',
    'what was reviewed grows afterwards',
    'compose/reach.test.ts',
    'a reviewed one is none, until another team’s template lets it reach further',
  ],
  [
    'F20',
    'something else is approved than was shown',
    'cli/reach.test.ts',
    'F20 a review names the reach that was shown: another one is refused, and the change is on the trail before it is made',
  ],
  [
    'F21',
    'roles are too blunt',
    'requirements/blunt-roles.test.ts',
    'F21 R27 one agent, one server, one tool: arguments decide, and only what is unusual waits for a person',
  ],
  [
    'F21',
    'approval of each call is too slow',
    'e2e/approvals.test.ts',
    'for a task: any arguments, so often, within the limit that the policy gives',
  ],
  [
    'F22',
    'the risk is found after use',
    'gateway/govern-call.test.ts',
    'D2 tools without an approved profile are counted and not shown',
  ],
];

const root = resolve(import.meta.dirname, '..');

describe('each way of failing has its negative case', () => {
  it('all of F1 to F22 are named', () => {
    const named = [...new Set(PROVEN.map(([failure]) => failure))];
    expect(named.sort((one, other) => Number(one.slice(1)) - Number(other.slice(1)))).toEqual(
      Array.from({ length: 22 }, (_, index) => `F${index + 1}`),
    );
  });

  it.each(PROVEN)('%s, %s: its test is there', (_failure, _what, file, title) => {
    const text = readFileSync(resolve(root, file), 'utf8');
    const titles = [...text.matchAll(/\b(?:it|test)\b[^'"`\n]{0,200}?\(\s*(['"`])((?:(?!\1).)*)\1/g)];
    expect(titles.map(([, , found]) => found)).toContain(title);
  });
});

const OWNED = `version: 1
agents:
  scribe: { owner: dana@shop.example, publicKeys: scribe.jwks.json }
connectors:
  shop:
    owner: dana@shop.example
    transport: { http: { url: "https://shop.example/mcp" } }
    tools:
      orders: { class: read, approvedBy: dana@shop.example }
templates:
  shop: { owner: dana@shop.example, purpose: test, agents: [scribe], classes: [read], tools: ["shop/*"] }
`;

it('F10 F18 what has no owner is not served: neither connector, agent, template nor approved tool', () => {
  expect(() => parseConfig(OWNED, 'remit.yaml')).not.toThrow();
  const owners = [...OWNED.matchAll(/(?:owner|approvedBy): dana@shop\.example/g)];
  expect(owners).toHaveLength(4);
  for (const { index, 0: owner } of owners) {
    const without = OWNED.slice(0, index) + OWNED.slice(index + owner.length).replace(/^,? ?\n? */, '');
    const empty = OWNED.slice(0, index) + owner.replace(/: .*/, ': ""') + OWNED.slice(index + owner.length);
    for (const text of [without, empty])
      expect(() => parseConfig(text, 'remit.yaml'), text).toThrow(/owner|approvedBy/);
  }
});
