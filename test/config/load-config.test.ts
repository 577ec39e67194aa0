import { describe, expect, it } from 'vitest';
import { starterConfig } from '../../src/cli/commands/init-files.ts';
import { loadConfig, parseConfig } from '../../src/config/load-config.ts';
import { isRemitError, type RemitError } from '../../src/domain/errors.ts';

const GOOD = `version: 1
agents:
  helper:
    owner: dana
    publicKeys: helper.jwks.json
connectors:
  files:
    owner: dana
    transport:
      stdio:
        command: [server]
    tools:
      read: { class: read, approvedBy: dana }
templates:
  work:
    owner: dana
    purpose: Work
    agents: [helper]
    classes: [read]
    tools: [files/read]
`;

function refusal(text: string): RemitError {
  try {
    parseConfig(text, 'remit.yaml');
  } catch (error) {
    if (isRemitError(error, 'ERR_CONFIG_INVALID')) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

/** The problems, one a line, without the indentation. */
const problems = (text: string): string[] =>
  refusal(text)
    .message.split('\n')
    .slice(1)
    .map((line) => line.trim());

const edited = (from: string, to: string): string => {
  if (!GOOD.includes(from)) throw new Error(`no ${from}`);
  return GOOD.replace(from, to);
};

describe('a configuration that is right', () => {
  it('is accepted, with defaults filled in', () => {
    const config = parseConfig(GOOD, 'remit.yaml');
    expect(config.listen).toEqual({ host: '127.0.0.1', port: 7420 });
    expect(config.store).toEqual({ kind: 'sqlite' });
    expect(config.connectors.files).toMatchObject({ zone: 'internal', timeoutSeconds: 60 });
  });

  it('is what remit init writes', () => {
    const config = parseConfig(starterConfig('dana@shop.example', 'production'), 'remit.yaml');
    expect(Object.keys(config.templates)).toEqual(['read-files']);
  });
});

describe('a configuration that is wrong names line, column, path and what is wrong', () => {
  it.each([
    ['an unknown key at the top', `${GOOD}colour: red\n`, 'remit.yaml:21:1: colour: unknown key'],
    [
      'an unknown key deep inside, at the key',
      edited('        command: [server]', '        command: [server]\n        shell:\n          true: 1'),
      'remit.yaml:12:9: connectors.files.transport.stdio.shell: unknown key',
    ],
    [
      'a wrong type',
      edited('version: 1', 'version: 1\ntokenSeconds: "long"'),
      /^remit\.yaml:2:1: tokenSeconds: .*expected number/,
    ],
    [
      'a number out of range',
      edited('version: 1', 'version: 1\nlisten: { port: 70000 }'),
      /^remit\.yaml:2:11: listen\.port: .*65535/,
    ],
    [
      'a missing key, at its parent',
      edited('    owner: dana\n    publicKeys', '    publicKeys'),
      /^remit\.yaml:3:3: agents\.helper\.owner: /,
    ],
    ['another version', edited('version: 1', 'version: 2'), /^remit\.yaml:1:1: version: /],
    [
      'an id that is none',
      edited('  helper:\n', '  Helper Bot:\n'),
      /^remit\.yaml:3:3: agents\.Helper Bot: an agent id is 1–63/,
    ],
    [
      'an item of a list',
      edited('classes: [read]', 'classes: [read, peek]'),
      /^remit\.yaml:19:21: templates\.work\.classes\.1: /,
    ],
    [
      'a credential of two kinds',
      edited(
        '    tools:\n',
        '    credential: { postgres: { database: d, adminUser: a }, static: { secret: s, exception: { owner: o, reason: r, expires: "2030-01-01T00:00:00Z", controls: { tools: [query], callsPerMinute: 60, callsPerMinutePerTask: 30 } } } }\n    tools:\n',
      ),
      /connectors\.files\.credential: name exactly one of postgres, .*, static/,
    ],
    [
      'an injection into arguments that nobody answers for',
      edited(
        '    tools:\n',
        '    credential: { postgres: { database: d, adminUser: a }, inject: { arguments: ["--password={password}"] } }\n    tools:\n',
      ),
      /credential\.inject\.arguments: every user of the host can read arguments/,
    ],
    [
      'an injection into standard output',
      edited(
        '    tools:\n',
        '    credential: { postgres: { database: d, adminUser: a }, inject: { descriptors: { 1: "{password}" } } }\n    tools:\n',
      ),
      /credential\.inject\.descriptors.*a file descriptor is 3 to 29/,
    ],
    [
      'a secret of Remit’s own as a credential',
      edited(
        '    tools:\n',
        '    credential: { static: { secret: remit-journal-key, exception: { owner: o, reason: r, expires: "2030-01-01T00:00:00Z", controls: { tools: [query], callsPerMinute: 60, callsPerMinutePerTask: 30 } } } }\n    tools:\n',
      ),
      /credential\.static\.secret: a secret name .*Remit’s own/,
    ],
    ['a duplicate key', `${GOOD}version: 1\n`, /^remit\.yaml:21:1: .*unique/],
    ['broken YAML', `${GOOD}listen: {port: 1\n`, /^remit\.yaml:2[12]:\d+: /],
    ['an alias to nothing', `${GOOD}data: *nowhere\n`, /^remit\.yaml:?.*nowhere/],
    ['an empty file', '', /\(whole file\): .*expected object/],
    ['a list', '- 1\n', /\(whole file\): .*expected object/],
  ])('%s', (_, text, expected) => {
    const found = problems(text);
    if (typeof expected === 'string') expect(found).toEqual([expected]);
    else expect(found).toEqual([expect.stringMatching(expected)]);
  });

  it('names every problem at once, and what to do', () => {
    const error = refusal(`${GOOD.replace('class: read', 'class: peek')}colour: red\n`);
    expect(error.message.split('\n')).toHaveLength(3);
    expect(error).toMatchObject({ where: 'remit.yaml', hint: expect.stringContaining('Mend the lines') });
  });

  it('refuses aliases that multiply beyond measure', () => {
    const levels = Array.from(
      { length: 12 },
      (_, n) => `l${n + 1}: &l${n + 1} [${Array(10).fill(`*l${n}`).join(', ')}]`,
    );
    expect(problems(`l0: &l0 [x]\n${levels.join('\n')}\n`)).toEqual([expect.stringMatching(/alias/i)]);
  });
});

describe('where one of several shapes is asked for, the message is about the one that was meant', () => {
  it.each([
    [
      'an http transport with a key too many',
      'http: { url: "https://x.example/mcp", uri: y }',
      ['connectors.files.transport.http.uri: unknown key'],
    ],
    [
      'an http transport with a wrong URL',
      'http: { url: "ftp://x" }',
      [expect.stringMatching(/transport\.http\.url: /)],
    ],
    [
      'a stdio transport with a misspelt key',
      'stdio: { comand: [server] }',
      [
        expect.stringMatching(/transport\.stdio\.command: /),
        expect.stringMatching(/transport\.stdio\.comand: unknown key/),
      ],
    ],
    [
      'a command in one string',
      'stdio: { command: server }',
      [expect.stringMatching(/transport\.stdio\.command: .*expected array/)],
    ],
    ['neither', '{}', [expect.stringMatching(/transport: name exactly one of stdio, http/)]],
    [
      'both',
      '{ stdio: { command: [x] }, http: { url: "https://x.example" } }',
      [expect.stringMatching(/transport: name exactly one of stdio, http/)],
    ],
    ['an unknown one', 'grpc: {}', [expect.stringMatching(/transport: name exactly one of stdio, http/)]],
  ])('transport: %s', (_, transport, expected) => {
    const text = edited(
      '    transport:\n      stdio:\n        command: [server]\n',
      `    transport:\n      ${transport}\n`,
    );
    expect(problems(text)).toEqual(
      expected.map((one) => (typeof one === 'string' ? expect.stringContaining(one) : one)),
    );
  });

  it.each([
    ['postgres without its variable', 'store: { kind: postgres }', /^remit\.yaml:21:1: store\.urlVariable: /],
    ['sqlite with a key too many', 'store: { kind: sqlite, path: x }', /store\.path: unknown key/],
    ['an unknown kind', 'store: { kind: mysql }', /store\.kind: kind is sqlite or postgres/],
    [
      'an unknown kind of key',
      'vaultKey: { kind: kms }',
      /vaultKey\.kind: kind is file, environment, keyring, awsKms, gcpKms or transit/,
    ],
  ])('store and vault key: %s', (_, line, expected) => {
    expect(problems(`${GOOD}${line}\n`)).toEqual([expect.stringMatching(expected)]);
  });
});

describe('references between parts', () => {
  it.each([
    [
      'an unknown agent',
      'agents: [helper]',
      'agents: [helper, stranger]',
      'remit.yaml:18:22: templates.work.agents.1: no agent is called stranger',
    ],
    [
      'a name that every object has',
      'agents: [helper]',
      'agents: [constructor]',
      'remit.yaml:18:14: templates.work.agents.0: no agent is called constructor',
    ],
    [
      'an unknown connector',
      'tools: [files/read]',
      'tools: [mail/read]',
      'remit.yaml:20:13: templates.work.tools.0: no connector is called mail',
    ],
    [
      'an undescribed tool',
      'tools: [files/read]',
      'tools: [files/write]',
      'remit.yaml:20:13: templates.work.tools.0: files/write has no profile; run `remit tool describe files/write`',
    ],
    [
      'an undescribed tool with a name that every object has',
      'tools: [files/read]',
      'tools: [files/toString]',
      'remit.yaml:20:13: templates.work.tools.0: files/toString has no profile; run `remit tool describe files/toString`',
    ],
    [
      'a resource of an unknown connector',
      'tools: [files/read]',
      'tools: [files/read]\n    resources: ["mail:inbox"]',
      'remit.yaml:21:17: templates.work.resources.0: no connector is called mail',
    ],
  ])('%s', (_, from, to, expected) => {
    expect(problems(edited(from, to))).toEqual([expected]);
  });

  it('accepts every described tool of a connector at once', () => {
    expect(parseConfig(edited('files/read]', '"files/*"]'), 'remit.yaml').templates.work?.tools).toEqual(['files/*']);
  });
});

/** The good file with more members of its connector, the first of them in line 14. */
const withMembers = (members: string): string => edited('templates:\n', `${members}templates:\n`);

describe('resources and prompts', () => {
  const GOVERNED = withMembers(`    resources:
      "docs://manuals/*": { class: read, approvedBy: dana }
      "file:///srv/**": { class: read, approvedBy: dana, arguments: { uri: string } }
    prompts:
      summarise: { class: read, arguments: { text: string, tone: "string?" }, approvedBy: dana }
`);

  it('are described as tools are, and templates name them', () => {
    const tools = '["files/resource:docs://manuals/*", "files/prompt:summarise", "files/*"]';
    const { connectors, templates } = parseConfig(GOVERNED.replace('[files/read]', tools), 'remit.yaml');
    expect(Object.keys(connectors.files?.resources ?? {})).toEqual(['docs://manuals/*', 'file:///srv/**']);
    expect(connectors.files?.prompts.summarise).toMatchObject({ class: 'read', reversible: false });
    expect(templates.work?.tools).toHaveLength(3);
  });

  it.each([
    [
      'a resource that is not described',
      GOVERNED.replace('files/read]', '"files/resource:docs://other/*"]'),
      /^remit\.yaml:25:13: templates\.work\.tools\.0: files\/resource:docs:\/\/other\/\* has no profile/,
    ],
    [
      'a tool where a prompt is meant',
      GOVERNED.replace('files/read]', '"files/prompt:read"]'),
      /^remit\.yaml:25:13: templates\.work\.tools\.0: files\/prompt:read has no profile/,
    ],
    [
      'a pattern with an unwritten scheme',
      withMembers('    resources:\n      "*://x": { class: read, approvedBy: dana }\n'),
      /^remit\.yaml:15:7: connectors\.files\.resources\.\*:\/\/x: not a URI pattern: its scheme/,
    ],
    [
      'a URI template for a pattern',
      withMembers('    resources:\n      "docs://{name}": { class: read, approvedBy: dana }\n'),
      /^remit\.yaml:15:7: .*not a URI pattern: it holds a brace: write \*/,
    ],
    [
      'a pattern with two readings',
      withMembers('    resources:\n      "docs://a/../*": { class: read, approvedBy: dana }\n'),
      /^remit\.yaml:15:7: .*segment/,
    ],
    [
      'a pattern that is too long',
      withMembers(`    resources:\n      "docs://${'x'.repeat(510)}": { class: read, approvedBy: dana }\n`),
      /^remit\.yaml:15:7: .*512/,
    ],
    [
      'an argument of a resource that is none',
      withMembers('    resources:\n      "docs://*": { class: read, arguments: { name: string }, approvedBy: dana }\n'),
      /^remit\.yaml:15:34: .*arguments: of a resource policies may read `uri`/,
    ],
    [
      'an argument of a prompt that is no text',
      withMembers('    prompts:\n      sum: { class: read, arguments: { n: long }, approvedBy: dana }\n'),
      /^remit\.yaml:15:27: .*arguments of a prompt are texts/,
    ],
    [
      'a tool under the name of another kind',
      edited('      read: {', '      "prompt:x": {'),
      /^remit\.yaml:13:7: connectors\.files\.tools\.prompt:x: a tool’s name cannot begin/,
    ],
    [
      'a feature of clients that is none',
      withMembers('    clientFeatures: [elicitation, files]\n'),
      /^remit\.yaml:14:35: connectors\.files\.clientFeatures\.1: /,
    ],
    ['an era that is none', withMembers('    protocol: newest\n'), /^remit\.yaml:14:5: connectors\.files\.protocol: /],
    ['an unknown bound', `${GOOD}sessions: { perUser: 1 }\n`, /^remit\.yaml:21:13: sessions\.perUser: unknown key/],
    ['a bound out of range', `${GOOD}limits: { connections: 0 }\n`, /^remit\.yaml:21:11: limits\.connections: /],
    [
      'a sandbox with an unknown network',
      edited('        command: [server]', '        command: [server]\n        sandbox: { network: lan }'),
      /transport\.stdio\.sandbox\.network: /,
    ],
  ])('%s is refused where it stands', (_, text, expected) => {
    const found = problems(text);
    // What a template names of a connector that is wrong is wrong, too.
    expect(found[0]).toMatch(expected);
  });
});

describe('transports and bounds', () => {
  it('have the defaults that are safe', () => {
    const config = parseConfig(GOOD, 'remit.yaml');
    expect(config.sessions).toEqual({ idleSeconds: 1800, perTask: 32, perAgent: 256, max: 10_000 });
    expect(config.limits).toEqual({ callsPerAgent: 256, connections: 256, streamsPerTask: 16 });
    expect(config.connectors.files).toMatchObject({
      protocol: 'auto',
      clientFeatures: ['elicitation'],
      transport: { stdio: { allowInlineCode: false } },
    });
    expect(config.connectors.files?.transport).not.toHaveProperty('stdio.sandbox');
  });

  it('a sandbox has no network and no paths unless it names them', () => {
    const config = parseConfig(
      edited('        command: [server]', '        command: [server]\n        sandbox: {}'),
      'remit.yaml',
    );
    const sandbox = { network: 'none', readOnly: [], readWrite: [] };
    expect(config.connectors.files?.transport).toMatchObject({ stdio: { sandbox } });
  });

  it.each(['http', 'sse'])('%s reaches no private network unless it is allowed to', (kind) => {
    const stdio = '      stdio:\n        command: [server]\n';
    const over = (more: string) =>
      parseConfig(edited(stdio, `      ${kind}: { url: "https://x.example/mcp"${more} }\n`), 'remit.yaml').connectors
        .files?.transport;
    expect(over('')).toEqual({ [kind]: { url: 'https://x.example/mcp', allowPrivateNetwork: false } });
    expect(over(', allowPrivateNetwork: true')).toMatchObject({ [kind]: { allowPrivateNetwork: true } });
  });
});

describe('a file that cannot be read', () => {
  it('is ERR_CONFIG_MISSING with the way out', async () => {
    await expect(loadConfig('/nowhere/remit.yaml')).rejects.toMatchObject({
      code: 'ERR_CONFIG_MISSING',
      where: '/nowhere/remit.yaml',
      hint: expect.stringContaining('remit init'),
    });
  });
});

describe('a long-lived secret', () => {
  const withControls = (controls: string) =>
    GOOD.replace(
      '    tools:\n',
      `    credential: { static: { secret: s, exception: { owner: o, reason: r, expires: "2030-01-01T00:00:00Z"${controls} } } }\n    tools:\n`,
    );
  const controls = (tools: string) => `, controls: { tools: ${tools}, callsPerMinute: 60, callsPerMinutePerTask: 30 }`;

  it('is good for a written list of tools', () => {
    expect(() => parseConfig(withControls(controls('[read]')), 'remit.yaml')).not.toThrow();
  });

  it.each([
    ['no controls', '', /exception\.controls: /],
    ['no pace', ', controls: { tools: [read] }', /callsPerMinute: /],
    ['no tool', controls('[]'), /controls\.tools: /],
    ['every tool', controls('["*"]'), /controls\.tools\.0: name each tool/],
    ['a template that names another tool', controls('[write]'), /templates\.work\.tools\.0: files\/read: .*one by one/],
  ])('R60 is refused with %s', (_, text, expected) => {
    expect(problems(withControls(text)).join('\n')).toMatch(expected);
  });

  it('R60 is refused to a template that names its connector as a whole', () => {
    const text = withControls(controls('[read]')).replace('tools: [files/read]', 'tools: ["files/*"]');
    expect(problems(text)).toEqual([
      expect.stringMatching(/files\/\*: files has a long-lived secret; name one by one/),
    ]);
  });

  it('has vault keys that can be told apart', () => {
    const text = `${GOOD}vaultKey: { kind: file, name: kek-2 }\nformerVaultKeys: [{ kind: file, path: a }, { kind: file, name: kek-2 }]\n`;
    expect(problems(text)).toEqual([
      expect.stringMatching(/formerVaultKeys\.1: another vault key is called file:kek-2/),
    ]);
  });
});
