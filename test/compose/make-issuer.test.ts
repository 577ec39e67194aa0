import { afterEach, describe, expect, it } from 'vitest';
import type { ConnectorTokens } from '../../src/compose/credentials/connector-tokens.ts';
import { makeIssuer } from '../../src/compose/credentials/make-issuer.ts';
import type { EstateConnector } from '../../src/compose/estate.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { credentialSchema } from '../../src/config/credential-schema.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';

/** What making an `oauth` issuer reads of its surroundings. */
const workspace = {
  vault: { get: async () => new Secret('canary-client-secret') },
  system: { clock: Date.now, random: Math.random },
} as unknown as Workspace;
const tokens = {} as ConnectorTokens;
const connector = { id: 'crm' } as unknown as EstateConnector;

describe('the issuer of `credential.oauth`', () => {
  let issuer: Issuer | undefined;

  afterEach(() => issuer?.close());

  async function issueAt(server: string, more: object = {}): Promise<unknown> {
    const oauth = { server, clientId: 'remit', clientSecret: 'crm', scopes: { read: ['contacts.read'] }, ...more };
    const credential = credentialSchema.parse({ oauth, inject: { headers: { Authorization: 'Bearer {token}' } } });
    ({ issuer } = await makeIssuer(workspace, tokens, connector, credential));
    return issuer.issue(requestFor(newLease(issuer), AbortSignal.timeout(10_000))).then(
      () => 'issued',
      (error: Error) => error.message,
    );
  }

  it.each(['https://10.255.255.1', 'https://169.254.169.254', 'https://[fd00:ec2::254]'])(
    'goes to no address inside a network unless its owner says so: %s',
    async (server) => {
      expect(await issueAt(server)).toContain('an address that Remit may not go to');
    },
  );

  it('goes to no metadata service, whatever its owner says', async () => {
    const told = await issueAt('https://169.254.169.254', { allowPrivateNetwork: true });
    expect(told).toContain('an address that Remit may not go to');
  });
});
