import { expect, it } from 'vitest';
import { createUserKey } from '../../src/adapters/issuers/ssh-certificate.ts';
import { connectorId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { needlesOf, withhold } from '../../src/gateway/stages/withhold-secrets.ts';
import { createHeldLease } from '../../src/leases/held-lease.ts';
import { heldLease, makeTask } from '../support/fake-gateway-parts.ts';

const { lease } = heldLease(makeTask('tsk_key'), connectorId('web'));
const key = createUserKey(Buffer.alloc(32, 5), 'x').file.toString();
const needles = needlesOf(createHeldLease(lease, { environment: { SSH_PRIVATE_KEY: new Secret(key) }, headers: {} }));

function passOn(text: string): string {
  const result = { content: [{ type: 'text', text }] };
  const { reply } = withhold({ result, resultText: JSON.stringify(result) }, needles);
  return JSON.stringify(reply);
}

it('L6 a key of several lines does not come back: not whole, not trimmed, not line by line', () => {
  const lines = key.trim().split('\n').slice(1, -1);
  expect(lines.length).toBeGreaterThan(2);
  for (const text of [key, key.trim(), `it has ${lines[2]}`, lines.join('\r\n')]) {
    const passed = passOn(text);
    expect(passed).toContain('withheld by Remit');
    for (const line of lines) expect(passed).not.toContain(line);
  }
});

it('what stands around every key is no secret: another’s certificate comes back as it is', () => {
  const text = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN OPENSSH PRIVATE KEY-----';
  expect(passOn(text)).toContain(JSON.stringify(text).slice(1, -1));
});
