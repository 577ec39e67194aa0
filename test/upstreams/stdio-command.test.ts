import { describe, expect, it } from 'vitest';
import { inlineCodeIn, programName, refuseInlineCode, scriptOf } from '../../src/adapters/upstreams/stdio-command.ts';

const words = (text: string): string[] => text.split(' ');

describe('A31: a command that holds code', () => {
  it.each([
    'sh -c id',
    'bash -lc id',
    '/bin/bash --norc -ec id',
    'bash -O extglob -c id',
    'bash',
    'sh -s',
    'bash -',
    'fish --command=id',
    'pwsh -NoProfile -Command id',
    'powershell.exe -enc aWQ=',
    'cmd.exe /c id',
    'cmd /d /s /C id',
    'node -e 1',
    'node --eval=1',
    'node -p 1',
    'node -pe 1',
    'node --print 1',
    'node --require ./x.js -e 1',
    'node --import data:text/javascript,1 server.js',
    'node --import=data:text/javascript,1 server.js',
    'node',
    'node -',
    'nodejs -e 1',
    '/opt/node20/bin/node.exe -e 1',
    'tsx -e 1',
    'bun --eval 1',
    'python -c 1',
    'python3.11 -Ic 1',
    'python3 -W ignore -c 1',
    'python3',
    'perl -e 1',
    'perl -wnE 1',
    'ruby -e 1',
    'ruby -ne 1',
    'php -r 1',
    'deno eval 1',
    'deno run -',
    'env sh -c id',
    'env -i -u HOME A=1 B=2 bash -c id',
    'env -S sh',
    'env --split-string=sh',
    'env A=1 env B=2 node -e 1',
    '/usr/bin/env python3 -c 1',
    'npx -c id',
    'npx --call id',
    'npx --call=id',
    'npx -y -p some-package -c id',
    'npx.cmd -c id',
    'npm exec -c id',
    'npm x --call id',
    'npm exec --package=foo -c id',
    'pnpm exec -c id',
    'npx -y node -e 1',
    'npx some-package sh -c id',
    'nice -n 5 sh -c id',
    'timeout 5 bash -c id',
    'docker run -i --rm image sh -c id',
    'busybox sh -c id',
    'uv run python -c 1',
    'sudo env -S sh',
    'server.cmd start',
    'C:\\tools\\start.BAT',
    'su -c id',
  ])('is refused: %s', (command) => {
    expect(inlineCodeIn(words(command))).toEqual(expect.any(String));
    expect(() => refuseInlineCode(words(command), {})).toThrow(/holds code/);
  });

  it.each([
    'node server.js',
    'node server.js -e production -p 8080',
    'node --enable-source-maps dist/index.js --eval',
    'node --max-old-space-size=64 -r ./hook.js server.js -c',
    'node -C development server.js',
    'node --import tsx server.ts',
    'npx -y @modelcontextprotocol/server-filesystem /home/me',
    'npx -y some-server -c config.json',
    'npm exec -- some-server -c config.json',
    'npx --package=foo some-server',
    'uvx mcp-server-git --repository /srv',
    'python -m mcp_server_git',
    'python3 -u -m mcp_server_git -c x',
    'python3 -mserver',
    'python3 server.py -c config',
    'perl -I lib server.pl -e x',
    'ruby -rjson server.rb -e x',
    'deno run --allow-net server.ts',
    'sh /srv/start.sh -c x',
    'bash --norc start.sh',
    'pwsh -File start.ps1',
    'env A=1 node server.js',
    'docker run -i --rm -e TOKEN image',
    'mcp-server-filesystem -c /srv -e x',
    '/srv/bash-server -c x',
    'taskset -c 0 node server.js',
    'java -jar server.jar',
  ])('is not: %s', (command) => {
    expect(inlineCodeIn(words(command))).toBeUndefined();
  });

  it('A31: code in NODE_OPTIONS is refused too, and other options are not', () => {
    const refuse = (options: string) => () => refuseInlineCode(['node', 'server.js'], { NODE_OPTIONS: options });
    expect(refuse('--import data:text/javascript,1')).toThrow(/NODE_OPTIONS/);
    expect(refuse('--import=data:text/javascript,1')).toThrow(/NODE_OPTIONS/);
    expect(refuse('--max-old-space-size=64')).not.toThrow();
  });
});

describe('scriptOf', () => {
  it.each([
    ['node server.js a', 'server.js'],
    ['node --require ./x.js server.js', 'server.js'],
    ['node -- server.js', 'server.js'],
    ['deno run --allow-net server.ts', 'server.ts'],
    ['sh start.sh', 'start.sh'],
  ])('of %s is %s', (command, script) => {
    expect(scriptOf(words(command))).toBe(script);
  });

  it.each(['node -e 1', 'npx -y x', 'sh -c x', '/usr/bin/some-server x'])('%s has none', (command) => {
    expect(scriptOf(words(command))).toBeUndefined();
  });

  it('knows programs by what they are called without version, folder and ending', () => {
    expect(['/usr/bin/python3.11', 'C:\\x\\node.exe', 'ruby2.7', 'perl5.36.0', '7'].map(programName)).toEqual([
      'python',
      'node',
      'ruby',
      'perl',
      '7',
    ]);
  });
});
