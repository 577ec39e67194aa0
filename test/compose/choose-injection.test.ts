import { describe, expect, it } from 'vitest';
import { chooseInjection } from '../../src/compose/credentials/choose-injection.ts';
import { credentialFindings } from '../../src/compose/credentials/credential-findings.ts';
import { CREDENTIAL_KINDS, type CredentialKind, credentialSchema } from '../../src/config/credential-schema.ts';
import type { ConnectorConfig } from '../../src/config/schema.ts';
import { connectorId } from '../../src/domain/ids.ts';

const CRM = connectorId('crm');
const ACCOUNTS: readonly CredentialKind[] = ['postgres', 'redis', 'mysql', 'aws', 'nats', 'ssh'];
/** What it gives is different from one to the next: its owner is asked always. */
const ASKED: readonly CredentialKind[] = ['vault', 'package'];
const CARRIERS = ['http', 'sse', 'stdio'] as const;
const credentialWith = (inject: object) =>
  credentialSchema.parse({ postgres: { database: 'd', adminUser: 'a' }, inject });
const none = credentialWith({}).inject;

describe('where a credential goes', () => {
  it.each(CREDENTIAL_KINDS.flatMap((kind) => CARRIERS.map((carrier) => [kind, carrier] as const)))(
    '%s over %s goes where its server can take it, or its owner is asked',
    (kind, carrier) => {
      const isAccount = ACCOUNTS.includes(kind);
      const hasDefault = !ASKED.includes(kind) && isAccount === (carrier === 'stdio');
      const choose = () => chooseInjection(CRM, carrier, kind, none);
      if (hasDefault) expect(Object.keys(choose()[isAccount ? 'environment' : 'headers'])).not.toEqual([]);
      else expect(choose).toThrow(/which (environment variable|header) takes the credential/);
    },
  );

  it.each([
    ['stdio', { headers: { Authorization: '{token}' } }],
    ['http', { environment: { TOKEN: '{token}' } }],
    ['http', { descriptors: { 3: '{token}' } }],
    ['sse', { arguments: ['{token}'], allowArgument: true }],
  ] as const)('a %s server has no place for %j', (carrier, inject) => {
    expect(() => chooseInjection(CRM, carrier, 'static', credentialWith(inject).inject)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_INVALID', where: 'connectors.crm.credential.inject' }),
    );
  });

  it('takes a descriptor alone for an answer', () => {
    const { inject } = credentialWith({ descriptors: { 3: '{password}' } });
    expect(chooseInjection(CRM, 'stdio', 'postgres', inject)).toMatchObject({
      descriptors: { 3: '{password}' },
      environment: {},
    });
  });

  it('L6 takes an argument only where the owner says that there is no other way, and that is a finding', () => {
    expect(() => credentialWith({ arguments: ['{password}'] })).toThrow(/allowArgument/);
    const credential = credentialWith({ arguments: ['{password}'], allowArgument: true });
    const findings = credentialFindings({ credential } as ConnectorConfig);
    expect(findings).toEqual([expect.objectContaining({ kind: 'credential_in_arguments', severity: 'high' })]);
    expect(credentialFindings({ credential: credentialWith({}) } as ConnectorConfig)).toEqual([]);
  });

  it.each([
    [{ redis: {} }, ['no_native_expiry']],
    [{ mysql: { adminUser: 'a' } }, ['no_native_expiry']],
    [{ mysql: { adminUser: 'a', eventDatabase: 'remit' } }, []],
    [{ ssh: { servers: 's', caKey: 'c', classes: { read: { forceCommand: 'id' } } } }, []],
    [{ ssh: { servers: 's', caKey: 'c', classes: { read: { anyCommand: true } } } }, ['any_command']],
  ])('L3 finds what its downstream never ends by itself: %j', (settings, kinds) => {
    const credential = credentialSchema.parse(settings);
    expect(credentialFindings({ credential } as ConnectorConfig).map(({ kind }) => kind)).toEqual(kinds);
  });
});
