import { readFile } from 'node:fs/promises';
import { afterAll, expect, it } from 'vitest';
import type { Reach } from '../../src/compose/connectors/reach.ts';
import { endAll, makeHome, run, runJson, runToFail } from './remit.ts';

afterAll(endAll);

it('F20 a review names the reach that was shown: another one is refused, and the change is on the trail before it is made', async () => {
  const { config } = await makeHome();
  const review = (reach: string) => [
    ...['connector', 'review', 'files', '--by', 'dana@shop.example', '--reach', reach, '--config', config],
  ];
  const shown = await run(['connector', 'reach', 'files', '--config', config]);
  const { digest, items } = await runJson<Reach>(['connector', 'reach', 'files', '--config', config]);
  expect(items.length).toBeGreaterThan(0);
  expect(shown.stdout).toContain(`Reach ${digest}: nobody has reviewed it.`);

  const before = await readFile(config, 'utf8');
  expect(await runToFail(review(`sha256:${'0'.repeat(64)}`))).toMatchObject({
    code: 'ERR_USAGE',
    where: 'connectors.files',
    hint: expect.stringContaining('remit connector reach files'),
  });
  expect(await readFile(config, 'utf8')).toBe(before);

  await runJson(review(digest));
  expect(await runJson<Reach>(['connector', 'reach', 'files', '--config', config])).toMatchObject({
    digest,
    reviewed: { by: 'dana@shop.example', reach: digest },
  });
  const trail = await run(['audit', 'tail', '-n', '20', '--json', '--config', config]);
  const records = trail.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(records.filter(({ type }) => type === 'administration').map(({ detail }) => detail)).toMatchObject([
    { action: 'connector_review', connector: 'files', approvedBy: 'dana@shop.example', reach: digest },
  ]);
});
