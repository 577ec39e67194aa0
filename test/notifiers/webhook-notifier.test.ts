import { expect, test } from 'vitest';
import { createWebhookNotifier, NOTICE_FORMATS, payloadOf } from '../../src/adapters/notifiers/webhook-notifier.ts';
import { approvalId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';

const NOTICE = {
  approval: approvalId('apr_x'),
  url: 'https://remit.example/approvals/apr_x',
  expiresAt: 1_800_000_000_000,
};

test('each format carries a link and a time, and nothing else', () => {
  expect(payloadOf('json', NOTICE)).toEqual({
    event: 'approval_requested',
    approval: 'apr_x',
    url: NOTICE.url,
    expires: '2027-01-15T08:00:00.000Z',
  });
  expect(payloadOf('slack', NOTICE)).toEqual({
    text: `A call waits for an approval until 2027-01-15T08:00:00.000Z: <${NOTICE.url}|look at it>`,
  });
  expect(payloadOf('email', NOTICE, 'ops@shop.example')).toEqual({
    to: 'ops@shop.example',
    subject: 'A call waits for an approval',
    text: `Until 2027-01-15T08:00:00.000Z: ${NOTICE.url}`,
  });
});

test.each(NOTICE_FORMATS)('L6 a %s notice that fails says so without its address', async (format) => {
  const address = 'https://hooks.example/T0/very-secret';
  for (const fetch of [
    async () => Promise.reject(new Error(`cannot reach ${address}`)),
    async () => new Response('', { status: 500 }),
  ]) {
    const notifier = createWebhookNotifier({ url: new Secret(address), format, to: undefined, fetch });
    const failed = await notifier.notify(NOTICE).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(failed).toBeInstanceOf(Error);
    expect(`${failed?.message} ${String(failed?.cause)}`).not.toContain('very-secret');
  }
});
