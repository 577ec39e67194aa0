/** Runs the authorization server through its paths in a process of its own; prints the statuses and nothing else. */
import { startFixture } from './authorization-fixture.ts';

const fixture = await startFixture();
const html = await fetch(`${fixture.issuer}/oauth/token`, { method: 'POST', headers: { Accept: 'text/html' } });
const refused = await fixture.declare({ template: 'triage' }, {}, { key: fixture.keys.otherBot });
const page = await fixture.post(
  Object.entries({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await fixture.assertion('support-bot', fixture.keys.supportBot),
  }),
  { Origin: 'https://page.example' },
);
const granted = await fixture.declare({ template: 'triage' });
const exchanged = await fixture.exchange(await fixture.idp.signInAs('alice'), { template: 'triage' });
console.log(html.status, refused.status, page.status, granted.status, exchanged.status);
await fixture.close();
