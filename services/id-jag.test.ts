import { expect, it } from 'vitest';
import { createIdJagIssuer } from '../src/adapters/issuers/id-jag-issuer.ts';
import { idJagIssuerTests, startIdJagWorld } from '../test/issuers/id-jag-issuer-tests.ts';
import { measureIssuer } from './measure.ts';

idJagIssuerTests();

it('costs what is measured', async () => {
  const { servers, options } = await startIdJagWorld();
  const user = { issuer: 'https://idp.example.com', subject: 'ada', groups: [] };
  const ask = { user, actionClasses: ['read' as const] };
  const cost = await measureIssuer('id-jag', createIdJagIssuer(options()), ask, 100);
  expect(cost.issue).toBeLessThan(1_000);
  await servers.close();
});
