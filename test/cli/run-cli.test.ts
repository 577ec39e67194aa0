import { expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/run-cli.ts';

const namesOf = async (name: string | undefined): Promise<string[]> =>
  (await buildProgram(name, '1.0.0')).commands.map((command) => command.name());

it('loads one command as well as all: each has itself, and what is misspelt has all to choose from', async () => {
  const all = await namesOf(undefined);
  expect(all.length).toBeGreaterThan(15);
  expect(new Set(all).size).toBe(all.length);
  for (const name of all) {
    const own = await namesOf(name);
    expect(own, name).toContain(name);
    // Not by way of all: then it would not be in the table.
    expect(own.length, name).toBeLessThan(4);
  }
  expect(await namesOf('secrte')).toEqual(all);
});
