import { describe, expect, it } from 'vitest';
import { observeFindings, openObserver } from '../../src/compose/policies/observations.ts';
import { createSystem } from '../../src/compose/system.ts';
import { parseConfig } from '../../src/config/load-config.ts';

const NOW = Date.parse('2027-01-01T00:00:00Z');
const BASE = `version: 1
agents: { helper: { owner: dana@shop.example, publicKeys: h.jwks.json } }
`;
const entry = (more: string): string => `observe:\n  - { ${more}, owner: dana@shop.example, reason: new policies }\n`;
const UNTIL = 'until: "2027-01-10T00:00:00Z"';

const observed = (yaml: string) => ({
  config: parseConfig(BASE + yaml, 'remit.yaml'),
  system: { ...createSystem({ log: 'silent' }), clock: () => NOW },
});

describe('what may be only observed', () => {
  it('an agent, a template or a connector that there is, until a time within 14 days', () => {
    expect(openObserver(observed(entry(`agent: helper, ${UNTIL}`))).observer).toBeDefined();
    expect(openObserver(observed('')).observer).toBeUndefined();
    expect(() => openObserver(observed(entry('agent: helper, until: "2027-01-15T00:00:01Z"')))).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_INVALID', where: 'observe.0.until' }),
    );
  });

  it.each([
    ['without an end', 'agent: helper'],
    ['of nobody', UNTIL],
    ['of two', `agent: helper, connector: x, ${UNTIL}`],
    ['of an agent that does not exist', `agent: nobody, ${UNTIL}`],
    ['of a template that does not exist', `template: nothing, ${UNTIL}`],
    ['of a connector that does not exist', `connector: nothing, ${UNTIL}`],
  ])('nothing %s', (_, more) => {
    expect(() => observed(entry(more))).toThrow(/remit\.yaml:4:/);
  });

  it.each(['environment: production', 'environment: prod', 'strictness: production', 'strictness: regulated'])(
    'nothing where it says %s',
    (line) => {
      expect(() => observed(`${line}\n${entry(`agent: helper, ${UNTIL}`)}`)).toThrow('nothing is only observed');
    },
  );

  it('is a finding, grave while it lasts', () => {
    expect(observeFindings(observed(entry(`agent: helper, ${UNTIL}`)))).toMatchObject([
      {
        kind: 'only_observed',
        severity: 'high',
        refs: ['agents.helper'],
        owner: 'dana@shop.example',
        expires: '2027-01-10T00:00:00Z',
      },
    ]);
    expect(observeFindings(observed(entry('agent: helper, until: "2026-12-31T00:00:00Z"')))).toMatchObject([
      { kind: 'observation_ended', severity: 'low' },
    ]);
  });
});
