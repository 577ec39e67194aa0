import { describe, expect, it } from 'vitest';
import { buildEstate } from '../../src/compose/estate.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import { messageOf } from '../../src/domain/errors.ts';

const config = (connector: string, tools = 'docs/*'): string => `version: 1
agents:
  helper: { owner: dana, publicKeys: helper.jwks.json }
connectors:
  docs:
    owner: dana
    transport: { http: { url: "https://docs.example/mcp" } }
${connector}
templates:
  work: { owner: dana, purpose: Work, agents: [helper], classes: [read], tools: ["${tools}"] }
`;

function problem(text: string): string {
  try {
    parseConfig(text, 'remit.yaml');
  } catch (error) {
    return messageOf(error);
  }
  return 'accepted';
}

const ITEMS = `    resources:
      "docs://manuals/*": { class: read, approvedBy: dana }
    prompts:
      summarise: { class: read, approvedBy: dana, arguments: { topic: string } }`;

describe('resources and prompts', () => {
  it('fault 37: are described like tools; a policy may always read the uri of a resource', () => {
    const docs = [...buildEstate(parseConfig(config(ITEMS), 'x')).connectors.values()][0];
    expect(docs?.resources.get('docs://manuals/*')?.criticalArguments).toEqual([
      { name: 'uri', type: 'string', required: true },
    ]);
    expect([...(docs?.prompts.keys() ?? [])]).toEqual(['summarise']);
  });

  it.each(['docs/resource:docs://manuals/*', 'docs/prompt:summarise', 'docs/*'])(
    '%s can be named in a template',
    (ref) => {
      expect(problem(config(ITEMS, ref))).toBe('accepted');
    },
  );

  it.each(['docs/resource:docs://other', 'docs/prompt:other', 'docs/summarise'])(
    '%s, which nobody described, cannot',
    (ref) => {
      expect(problem(config(ITEMS, ref))).toContain('has no profile');
    },
  );

  it.each([
    ['a pattern for any scheme', '    resources: { "*://x": { class: read, approvedBy: d } }', 'not a URI pattern'],
    [
      'a pattern with a way up',
      '    resources: { "docs://a/../b": { class: read, approvedBy: d } }',
      'not a URI pattern',
    ],
    ['a pattern without a scheme', '    resources: { "a/b": { class: read, approvedBy: d } }', 'not a URI pattern'],
    [
      'another argument of a resource',
      '    resources: { "docs://*": { class: read, approvedBy: d, arguments: { x: string } } }',
      'policies may read `uri`',
    ],
    [
      'an argument of a prompt that is no text',
      '    prompts: { p: { class: read, approvedBy: d, arguments: { x: long } } }',
      'are texts',
    ],
    [
      'a tool with the name of a prompt',
      '    tools: { "prompt:p": { class: read, approvedBy: d } }',
      'cannot begin with',
    ],
    ['a feature that is none', '    clientFeatures: [everything]', 'clientFeatures'],
    ['a protocol that is none', '    protocol: ancient', 'protocol'],
  ])('%s is refused', (_, connector, what) => {
    expect(problem(config(connector))).toContain(what);
  });
});

describe('what concerns the wire', () => {
  it('A43 servers may ask for elicitation and nothing else unless their owner says so', () => {
    const { connectors, sessions, limits } = parseConfig(config(''), 'x');
    expect(connectors.docs?.clientFeatures).toEqual(['elicitation']);
    expect(connectors.docs?.protocol).toBe('auto');
    expect(sessions).toEqual({ idleSeconds: 1800, perTask: 32, perAgent: 256, max: 10_000 });
    expect(limits).toEqual({ callsPerAgent: 256, connections: 256, streamsPerTask: 16 });
  });

  it('a sandbox has no network and no paths that are not named', () => {
    const text = config('').replace(
      '{ http: { url: "https://docs.example/mcp" } }',
      '{ stdio: { command: [x], sandbox: {} } }',
    );
    const { transport } = parseConfig(text, 'x').connectors.docs ?? {};
    expect(transport).toMatchObject({
      stdio: { sandbox: { network: 'none', readOnly: [], readWrite: [] }, allowInlineCode: false },
    });
  });

  it('an SSE transport is one of the three', () => {
    const sse = config('').replace('http: {', 'sse: {');
    expect(parseConfig(sse, 'x').connectors.docs?.transport).toEqual({
      sse: { url: 'https://docs.example/mcp', allowPrivateNetwork: false },
    });
    expect(problem(config('').replace('{ http:', '{ sse: { url: "http://x" }, http:'))).toContain(
      'exactly one of stdio, http, sse',
    );
  });
});
