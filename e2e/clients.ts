import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { installPackages, run } from '../harness/install.ts';
import { startFakeModelApi } from './fake-model-api.ts';

/** A real MCP client that reaches Remit as its user would set it up. */
export interface ClientCase {
  readonly title: string;
  /** Left out: it must pass. */
  readonly optional?: boolean;
  /** Lists and calls; resolves with what it printed of the call. */
  run(): Promise<string>;
}

export interface ClientWorld {
  /** MCP endpoint of the gateway. */
  readonly url: string;
  readonly token: string;
  readonly folder: string;
  /** Name of the tool as Remit shows it, what to call it with, and what it answers. */
  readonly tool: string;
  readonly args: Readonly<Record<string, string>>;
}

const NEWER_NODE = '22.23.3';
const PLATFORM = process.arch === 'arm64' ? 'linux-arm64' : 'linux-x64';

/** The clients, each from npm in a folder of its own; those with a licence of their own are fetched, never shipped. */
export function clientCases(world: ClientWorld): readonly ClientCase[] {
  const { url, token, folder, tool, args } = world;
  const header = `Authorization: Bearer ${token}`;
  const [[argument = '', value = ''] = []] = Object.entries(args);
  return [
    { title: 'MCP Inspector 2.12 (CLI), legacy era', run: () => inspector('legacy') },
    { title: 'MCP Inspector 2.12 (CLI), modern era', run: () => inspector('modern') },
    {
      title: 'mcporter 0.9',
      async run() {
        const modules = await installPackages('mcporter', { mcporter: '0.9.0' });
        const config = join(folder, 'mcporter.json');
        await writeFile(
          config,
          JSON.stringify({ mcpServers: { remit: { url, headers: { Authorization: `Bearer ${token}` } } } }),
        );
        const call = [
          join(modules, 'mcporter/dist/cli.js'),
          '--config',
          config,
          'call',
          `remit.${tool}`,
          `${argument}=${value}`,
        ];
        return (await run(process.execPath, call, { timeoutMs: 60_000, env: { HOME: folder } })).stdout;
      },
    },
    {
      title: 'mcp-remote 0.15 (stdio to HTTP)',
      async run() {
        const modules = await installPackages('mcp-remote', { 'mcp-remote': '0.15.1' });
        const client = new Client({ name: 'e2e', version: '1' });
        await client.connect(
          new StdioClientTransport({
            command: process.execPath,
            args: [
              join(modules, 'mcp-remote/dist/proxy.js'),
              url,
              '--allow-http',
              '--header',
              `Authorization:Bearer ${token}`,
            ],
            env: { PATH: process.env.PATH ?? '', HOME: folder },
            stderr: 'ignore',
          }),
        );
        try {
          return JSON.stringify(await client.callTool({ name: tool, arguments: args }));
        } finally {
          await client.close();
        }
      },
    },
    {
      title: 'Claude Code, driven by a scripted model',
      async run() {
        const modules = await installPackages('claude-code', {
          '@anthropic-ai/claude-code': '2.1.197',
          [`@anthropic-ai/claude-code-${PLATFORM}`]: '2.1.197',
        });
        const model = await startFakeModelApi({ tool, args });
        try {
          const config = join(folder, 'claude.json');
          await writeFile(
            config,
            JSON.stringify({
              mcpServers: { gw: { type: 'http', url, headers: { Authorization: `Bearer ${token}` } } },
            }),
          );
          const home = join(folder, 'claude-home');
          await mkdir(home, { recursive: true });
          const said = await run(
            join(modules, `@anthropic-ai/claude-code-${PLATFORM}/claude`),
            [
              '-p',
              'call the tool',
              '--mcp-config',
              config,
              '--strict-mcp-config',
              '--allowedTools',
              `mcp__gw__${tool}`,
              '--output-format',
              'stream-json',
              '--verbose',
            ],
            {
              cwd: home,
              timeoutMs: 120_000,
              env: {
                ANTHROPIC_BASE_URL: model.url,
                ANTHROPIC_API_KEY: 'fake',
                HOME: home,
                ENABLE_TOOL_SEARCH: 'false',
                MCP_CONNECTION_NONBLOCKING: '0',
                CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
                DISABLE_AUTOUPDATER: '1',
              },
            },
          );
          return said.stdout;
        } finally {
          await model.close();
        }
      },
    },
    {
      title: 'Codex, driven by a scripted model',
      async run() {
        const modules = await installPackages('codex', { '@openai/codex': '0.169.0' });
        const model = await startFakeModelApi({ tool, args });
        try {
          const home = join(folder, 'codex-home');
          await mkdir(home, { recursive: true });
          await writeFile(
            join(home, 'config.toml'),
            `model = "fake"
model_provider = "fake"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.fake]
name = "fake"
base_url = "${model.url}/v1"
wire_api = "responses"
env_key = "FAKE_KEY"
[mcp_servers.gw]
url = "${url}"
bearer_token_env_var = "REMIT_TOKEN"
default_tools_approval_mode = "approve"
`,
          );
          const said = await run(
            process.execPath,
            [join(modules, '@openai/codex/bin/codex.js'), 'exec', '--skip-git-repo-check', '--json', 'call the tool'],
            {
              cwd: home,
              timeoutMs: 120_000,
              env: { CODEX_HOME: home, HOME: home, FAKE_KEY: 'fake', REMIT_TOKEN: token },
            },
          );
          return said.stdout;
        } finally {
          await model.close();
        }
      },
    },
    {
      title: 'opencode, driven by a scripted model',
      async run() {
        const modules = await installPackages('opencode', { [`opencode-${PLATFORM}`]: '1.18.33' });
        const model = await startFakeModelApi({ tool, args });
        try {
          const home = join(folder, 'opencode-home');
          await mkdir(home, { recursive: true });
          await writeFile(
            join(home, 'opencode.json'),
            JSON.stringify({
              model: 'fake/fake',
              small_model: 'fake/fake',
              autoupdate: false,
              provider: {
                fake: {
                  npm: '@ai-sdk/openai-compatible',
                  options: { baseURL: `${model.url}/v1`, apiKey: 'fake' },
                  models: { fake: {} },
                },
              },
              mcp: { gw: { type: 'remote', url, oauth: false, headers: { Authorization: `Bearer ${token}` } } },
            }),
          );
          const said = await run(
            join(modules, `opencode-${PLATFORM}/bin/opencode`),
            ['run', '--model', 'fake/fake', '--format', 'json', 'call the tool'],
            {
              cwd: home,
              timeoutMs: 120_000,
              env: {
                HOME: home,
                XDG_CONFIG_HOME: home,
                XDG_DATA_HOME: home,
                XDG_CACHE_HOME: home,
                OPENCODE_CONFIG: join(home, 'opencode.json'),
                OPENCODE_DISABLE_MODELS_FETCH: '1',
              },
            },
          );
          return said.stdout;
        } finally {
          await model.close();
        }
      },
    },
  ];

  async function inspector(era: string): Promise<string> {
    const modules = await installPackages('inspector', { '@modelcontextprotocol/inspector': '2.12.0' });
    const newer = await installPackages('node', { [`node-${PLATFORM}`]: NEWER_NODE });
    const cli = [
      join(modules, '.bin/mcp-inspector'),
      '--cli',
      url,
      '--transport',
      'http',
      '--header',
      header,
      '--protocol-era',
      era,
      '--format',
      'json',
    ];
    const env = { PATH: `${join(newer, `node-${PLATFORM}/bin`)}:${process.env.PATH}`, HOME: folder };
    const listed = await run(join(newer, `node-${PLATFORM}/bin/node`), [...cli, '--method', 'tools/list'], {
      timeoutMs: 60_000,
      env,
    });
    if (!listed.stdout.includes(`"${tool}"`)) throw new Error(`the tool is not listed: ${listed.stdout.slice(0, 300)}`);
    const called = await run(
      join(newer, `node-${PLATFORM}/bin/node`),
      [...cli, '--method', 'tools/call', '--tool-name', tool, '--tool-arg', `${argument}=${value}`],
      { timeoutMs: 60_000, env },
    );
    return called.stdout;
  }
}
