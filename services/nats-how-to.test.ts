import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { afterEach, it } from 'vitest';
import { startNats } from '../harness/nats.ts';
import { openHowToChoose } from '../test/support/follow-how-to.ts';

const { follow, started, endAll } = await openHowToChoose();
afterEach(endAll);

it('nats as docs/how-to/choose-an-issuer.md has it: leased, heard by, and gone with its connection', async () => {
  const nats = started(await startNats());
  const { field, revoke } = await follow('nats', {
    edits: {
      'nats://nats.internal:4222': nats.urls[0] ?? '',
      'tls: true': 'tls: false',
      OAYYHGWD6CHZADNA4TXIQNAKZ3QVAUAWJAFFHHLYCVCN7OLYWVDNVW5B: nats.operator,
      AAXH7L2LPBH3M2RS5VZIGSDNAFL7QVYSRFRHPSDJKZBEUM6Y5O63VD6V: nats.account,
      'serverCount: 3': 'serverCount: 1',
    },
    secrets: {
      'bus-signing-key': nats.seeds.account,
      'bus-operator-key': nats.seeds.operatorSigning,
      'bus-system-user': nats.systemCredentials,
    },
    resources: ['orders.>'],
  });
  const connection = await connect({
    servers: nats.urls[0] ?? '',
    authenticator: credsAuthenticator(Buffer.from(field('credentials'))),
    inboxPrefix: field('inboxPrefix'),
    reconnect: false,
  });
  connection.subscribe('orders.new');
  await connection.flush();
  await revoke();
  await connection.closed();
});
