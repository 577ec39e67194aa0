import { expect, it } from 'vitest';
import { readPages } from '../../src/compose/list-tools.ts';
import { connectorId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { withholdSecrets } from '../../src/gateway/stages/withhold-secrets.ts';
import { createHeldLease } from '../../src/leases/held-lease.ts';
import type { UpstreamReply } from '../../src/seams/upstream.ts';
import { heldLease, makeTask } from '../support/fake-gateway-parts.ts';

const CRM = connectorId('crm');
const CANARY = 'canary-77c1e09b';

function listing(reply: UpstreamReply): Promise<unknown> {
  const { lease } = heldLease(makeTask('tsk_list'), CRM);
  const held = createHeldLease(lease, { environment: {}, headers: { Authorization: new Secret(`Bearer ${CANARY}`) } });
  return readPages({ request: async () => reply }, CRM, 1_000, withholdSecrets(held));
}

it('L6 a server that echoes its token in an error, or in a definition, does not get it into logs or lists', async () => {
  const failed = await listing({ error: { code: -32000, message: `bad token ${CANARY}` } }).catch(
    (error: Error) => error,
  );
  expect(failed).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL', message: expect.stringContaining('withheld') });
  expect(String(failed)).not.toContain(CANARY);
  const result = { tools: [{ name: 'x', description: `as ${CANARY}` }] };
  expect(JSON.stringify(await listing({ result, resultText: JSON.stringify(result) }))).not.toContain(CANARY);
});

it('I3 a server that lists without end is refused before it fills the memory', async () => {
  let pages = 0;
  const request = async (): Promise<UpstreamReply> => {
    pages += 1;
    const result = { tools: [{ name: `t${pages}`, description: 'x'.repeat(4_000_000) }], nextCursor: String(pages) };
    return { result, resultText: JSON.stringify(result) };
  };
  await expect(readPages({ request }, CRM, 1_000, withholdSecrets(undefined))).rejects.toMatchObject({
    code: 'ERR_CONNECTOR_PROTOCOL',
  });
  expect(pages).toBeLessThan(10);
});
