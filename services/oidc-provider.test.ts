import { expect, it } from 'vitest';
import { createOauthIssuer } from '../src/adapters/issuers/oauth-issuer.ts';
import { oauthIssuerTests, startOauthWorld } from '../test/issuers/oauth-issuer-tests.ts';
import { measureIssuer } from './measure.ts';

oauthIssuerTests();

it('costs what is measured', async () => {
  const { server, options } = await startOauthWorld();
  const ask = { resources: ['contacts/42'], actionClasses: ['read' as const] };
  const cost = await measureIssuer('oidc-provider', createOauthIssuer(options()), ask, 100);
  expect(cost.issue).toBeLessThan(1_000);
  await server.close();
});
