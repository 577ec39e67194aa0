import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildEstate } from '../../src/compose/estate.ts';
import { simulate } from '../../src/compose/explain/simulate.ts';
import { readSide } from '../../src/compose/explain/simulation-side.ts';
import { type Suggestion, suggest } from '../../src/compose/explain/suggest.ts';
import { suggestedFiles } from '../../src/compose/explain/suggested-files.ts';
import { readPolicies, readPolicyTexts } from '../../src/compose/policies/policies.ts';
import { parseConfig } from '../../src/config/load-config.ts';
import { OFFICE_CEDAR, OFFICE_YAML } from './office-estate.ts';
import { makeOffice, makeTraffic, type Office, writePolicies } from './recorded-office.ts';

async function suggested(office: Office, openArguments = office.openArguments): Promise<Suggestion> {
  const loaded = await readPolicies(office.policies, office.estate);
  return suggest({ estate: office.estate, loaded, span: office.span, openArguments });
}

/** What a person would do with it: put the files in place, and simulate them over the same time. */
async function simulateSuggestion(office: Office, suggestion: Suggestion) {
  const { policies, config } = suggestedFiles(
    suggestion,
    await readPolicyTexts(office.policies),
    await readPolicies(office.policies, office.estate),
    OFFICE_YAML,
  );
  const folder = await writePolicies('');
  for (const { name, text } of policies) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const estate = buildEstate(parseConfig(config, 'remit.yaml'));
  const before = await readSide(office.estate, office.policies);
  const result = await simulate(office.span, before, await readSide(estate, folder), office.openArguments);
  const calls = result.changes.filter(({ kind }) => kind === 'call');
  // Of a narrower template less is listed, by intent; the policies alone change no listing either.
  const alone = await simulate(office.span, before, await readSide(office.estate, folder), office.openArguments);
  return { result, changes: [...calls, ...alone.changes], policies, config, estate };
}

describe('a suggestion', () => {
  it('changes no permitted or held call of the time that it was made from, and its policies no listing: 5 times random traffic', async () => {
    let narrowed = 0;
    for (let seed = 10; seed < 15; seed += 1) {
      const office = await makeOffice({ seed });
      await makeTraffic(office, seed, 4 + (seed % 5) * 6);
      const suggestion = await suggested(office);
      const { result, changes } = await simulateSuggestion(office, suggestion);
      expect(changes).toEqual([]);
      expect(result.baseline.reproduced).toBe(result.baseline.of);
      expect(result.leftOut).toEqual({});
      narrowed += suggestion.policies.filter(({ change }) => change !== 'kept').length;
    }
    expect(narrowed).toBeGreaterThan(10);
  });

  it('holds that too where arguments cannot be opened: what was not replayed counts as used', async () => {
    const office = await makeOffice({ seed: 30 });
    await makeTraffic(office, 30, 12);
    const suggestion = await suggested(office, async () => 'arguments_erased');
    expect(suggestion.notReplayed).toBeGreaterThan(5);
    const { changes } = await simulateSuggestion(office, suggestion);
    expect(changes).toEqual([]);
  });

  it('takes away what nobody needed, and leaves conditions, holds and comments as they are', async () => {
    const office = await makeOffice();
    const clerk = office.start({ agent: 'clerk', groups: ['staff'] });
    await office.list(clerk);
    for (let count = 0; count < 4; count += 1) await office.call(clerk, 'mail/search', { query: 'bills' });
    const payer = office.start({ agent: 'payer', template: 'paying' });
    await office.call(payer, 'bank/pay', { amount: 600, to: 'vendor' });
    const suggestion = await suggested(office);
    expect(suggestion.policies.map(({ id, change, used }) => [id, change, used])).toEqual([
      ['agents-list', 'narrowed', 0],
      ['agents-read', 'narrowed', 1],
      ['agents-mail', 'narrowed', 1],
      ['payer-pays', 'narrowed', 1],
      ['staff', 'narrowed', 1],
      ['leads-pay', 'unused', 0],
      ['never', 'unused', 0],
    ]);
    const { changes, policies, estate } = await simulateSuggestion(office, suggestion);
    expect(changes).toEqual([]);
    const text = policies[0]?.text ?? '';
    expect(text).toContain('// What agents may do in the office.');
    expect(text).toContain('// Reading is for everybody.');
    expect(text).toContain('@id("agents-read-clerk")');
    expect(text).toMatch(/when \{ context\.task\.purpose != "closed" \}|when \{\s*context\.task\.purpose != "closed"/);
    expect(text).toContain('// @id("leads-pay")');
    expect(text).toContain(
      OFFICE_CEDAR.slice(OFFICE_CEDAR.indexOf('@id("small-amounts")'), OFFICE_CEDAR.indexOf('@id("never")')),
    );
    // The permit behind a held call is needed: it is what people let through.
    expect(text).toMatch(/action == Remit::Action::"bank\/pay"/);
    expect(suggestion.templates).toEqual([
      expect.objectContaining({
        template: 'office',
        tasks: 1,
        change: 'narrowed',
        agents: ['clerk'],
        tools: ['mail/search'],
        classes: ['read'],
        calls: 6,
      }),
      expect.objectContaining({ template: 'paying', tasks: 1, tools: ['bank/pay'], classes: ['financial'] }),
    ]);
    expect(estate.templates.get('office' as never)?.bounds.tools).toEqual(['mail/search']);
    const [clerks, payers, idle] = suggestion.agents;
    expect(clerks).toMatchObject({ agent: 'clerk', granted: 5, used: 1, ratio: 0.2 });
    expect(payers).toMatchObject({ agent: 'payer', used: 1 });
    expect(idle).toMatchObject({ agent: 'idle', granted: 0, ratio: 1 });
    expect(suggestion.overPrivileged).toBeCloseTo(2 / 3);
  });

  it('keeps what a task declared by name, as its declaration would be refused', async () => {
    const office = await makeOffice();
    const task = office.start({ agent: 'clerk', tools: ['mail/search', 'mail/archive'] });
    await office.call(task, 'mail/search', { query: 'bills' });
    const [template] = (await suggested(office)).templates;
    expect(template?.tools).toEqual(['mail/archive', 'mail/search']);
    expect(template?.declaredOnly).toEqual(['mail/archive']);
  });

  it('suggests nothing for a template that no task was under, and takes no right away where nothing is known', async () => {
    const office = await makeOffice();
    const { templates, calls, policies } = await suggested(office);
    expect(calls).toBe(0);
    expect(templates.map(({ change }) => change)).toEqual(['unused', 'unused']);
    expect(policies.every(({ change }) => change === 'unused')).toBe(true);
  });
});
