import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { chooseInjection } from '../../src/compose/credentials/choose-injection.ts';
import { CREDENTIAL_KINDS, type CredentialKind } from '../../src/config/credential-schema.ts';
import { configSchema } from '../../src/config/schema.ts';
import { connectorId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { renderInjection } from '../../src/leases/render-injection.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/how-to/choose-an-issuer.md', import.meta.url)), 'utf8');
const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text);
const field = () => new Secret('a value');
const accounts = { username: field(), password: field() };
const FIELDS: Partial<Record<CredentialKind, Record<string, Secret>>> = {
  postgres: accounts,
  redis: accounts,
  mysql: accounts,
  vault: accounts,
  aws: { accessKeyId: field(), secretAccessKey: field(), sessionToken: field() },
  ssh: { privateKey: field(), certificate: field() },
  nats: { credentials: field(), jwt: field(), seed: field(), inboxPrefix: field() },
};

describe('docs/how-to/choose-an-issuer.md', () => {
  it('shows every issuer that needs no exception', () => {
    const shown = blocks.flatMap((text) =>
      CREDENTIAL_KINDS.filter((kind) => new RegExp(`\\b${kind}: \\{|\\b${kind}:\\n`).test(text)),
    );
    expect(new Set(shown)).toEqual(new Set(CREDENTIAL_KINDS.filter((kind) => kind !== 'static' && kind !== 'package')));
  });

  it.each(blocks)('is configuration that a gateway takes: %s', (text) => {
    const { connectors } = configSchema.parse({ version: 1, ...(parse(text) as object) });
    for (const [id, { credential, transport }] of Object.entries(connectors)) {
      const kind = CREDENTIAL_KINDS.find((name) => credential?.[name] !== undefined);
      if (credential === undefined || kind === undefined) return expect.unreachable('a block without a credential');
      const carrier = 'stdio' in transport ? 'stdio' : 'http';
      const templates = chooseInjection(connectorId(id), carrier, kind, credential.inject);
      const fields = FIELDS[kind] ?? { token: field() };
      const { environment, headers } = renderInjection(templates, fields);
      expect([...Object.values(environment), ...Object.values(headers)].length).toBeGreaterThan(0);
    }
  });
});
