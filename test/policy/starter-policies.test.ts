import { describe, expect, test } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { loadPolicies } from '../../src/adapters/policy/load-policies.ts';
import { connectorId } from '../../src/domain/ids.ts';
import { starterPolicies } from '../../src/policy/starter-policies.ts';
import { INVENTORY, PAY, QUERY, sampleProfile, sampleRequest } from './samples.ts';

describe('the starter policies', () => {
  test('are valid before anything is registered', () => {
    expect(loadPolicies(starterPolicies(), { agents: [], connectors: [] }).policies.map(({ id }) => id)).toEqual([
      'agents-discover',
      'agents-read',
    ]);
  });

  test('D1 let agents list and read, and nobody anything else', () => {
    const engine = createCedarEngine(loadPolicies(starterPolicies(), INVENTORY));
    expect(engine.evaluate(sampleRequest(QUERY))).toMatchObject({ verdict: 'permit', policies: ['agents-read'] });
    expect(engine.evaluate(sampleRequest(PAY, { action: 'discover' })).verdict).toBe('permit');
    expect(engine.evaluate(sampleRequest(PAY)).verdict).toBe('deny');
    const user = { kind: 'user' as const, id: 'https://idp.example#alice', groups: [] };
    expect(engine.evaluate(sampleRequest(QUERY, { subject: user })).verdict).toBe('deny');
    expect(engine.evaluate(sampleRequest(PAY, { subject: user, action: 'discover' })).verdict).toBe('deny');
    engine.release();
  });

  test('have examples that are valid once their comment marks are gone', () => {
    const inventory = {
      agents: [...INVENTORY.agents],
      connectors: INVENTORY.connectors.map((connector) =>
        connector.id === connectorId('files')
          ? { ...connector, tools: [{ name: 'read_text_file', profile: sampleProfile('read', { path: 'path' }) }] }
          : connector,
      ),
    };
    const uncommented = starterPolicies().map(({ path, text }) => ({ path, text: uncomment(text) }));
    const ids = loadPolicies(uncommented, inventory).policies.map(({ id }) => id);
    expect(ids).toEqual([
      'agents-discover',
      'agents-read',
      'orders-bot-query',
      'support-users',
      'files-in-folder',
      'personal-data-in-production-only',
      'money-needs-a-user',
    ]);
  });
});

/** Takes the marks off each block of comment lines from `@id` to the line that ends in `;`. */
function uncomment(text: string): string {
  let isExample = false;
  return text
    .split('\n')
    .map((line) => {
      isExample ||= line.startsWith('// @id(');
      if (!isExample) return line;
      isExample = !line.endsWith(';');
      return line.replace(/^\/\/ ?/, '');
    })
    .join('\n');
}
