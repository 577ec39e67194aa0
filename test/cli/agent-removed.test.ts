import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { AuditRecord } from '../../src/domain/record.ts';
import { endAll, makeHome, run, runJson, startUp } from './remit.ts';

afterAll(endAll);

it('an agent that was taken out of the configuration: at the next start its task ends, whole and on the trail', async () => {
  const home = await makeHome();
  const first = await startUp(home.config);
  const { task } = await runJson<{ task: string }>(['token', '--agent', 'my-agent', '--config', home.config]);
  await first.stop();

  for (const file of ['remit.yaml', 'policies/agents.cedar', 'policies/starter.cases.yaml'].map((name) =>
    join(home.folder, name),
  )) {
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replaceAll(/(?<!agents\/)my-agent/g, 'another-agent'));
  }
  const second = await startUp(home.config);
  const { stdout } = await run([
    'audit',
    'tail',
    '-n',
    '100',
    '--json',
    '--type',
    'task_ended',
    '--config',
    home.config,
  ]);
  const ended = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditRecord);
  expect(ended.map((record) => [record.task, record.detail.reason])).toEqual([[task, 'agent_disabled']]);
  expect(second.stderr()).not.toContain('listener failed');
  await second.stop();
});
