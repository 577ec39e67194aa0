import type { Secret } from '../../domain/secret.ts';
import type { ApprovalNotice, Notifier } from '../../seams/notifier.ts';

export const NOTICE_FORMATS = ['json', 'slack', 'email'] as const;
export type NoticeFormat = (typeof NOTICE_FORMATS)[number];

export interface WebhookOptions {
  /** The address is the secret: who has it may post. */
  readonly url: Secret;
  readonly format: NoticeFormat;
  /** Of an e-mail: to whom. */
  readonly to: string | undefined;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

const TIMEOUT_MS = 10_000;

/** Posts a notice to whoever passes it on: a service of your own, Slack’s incoming webhooks, a gateway that sends e-mail. */
export function createWebhookNotifier({ url, format, to, fetch }: WebhookOptions): Notifier {
  return {
    async notify(notice) {
      let response: Response;
      try {
        response = await fetch(url.reveal(), {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(payloadOf(format, notice, to)),
          redirect: 'error',
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
      } catch {
        // Its own message may hold the address.
        throw new Error(`the ${format} notice could not be sent`);
      }
      await response.body?.cancel();
      if (!response.ok) throw new Error(`the ${format} notice was answered with HTTP ${response.status}`);
    },
  };
}

/** A link, and nothing of the call: a channel is read by more people than may approve. */
export function payloadOf(format: NoticeFormat, { approval, url, expiresAt }: ApprovalNotice, to?: string): object {
  const until = new Date(expiresAt).toISOString();
  switch (format) {
    case 'json':
      return { event: 'approval_requested', approval, url, expires: until };
    case 'slack':
      return { text: `A call waits for an approval until ${until}: <${url}|look at it>` };
    case 'email':
      return {
        ...(to !== undefined && { to }),
        subject: 'A call waits for an approval',
        text: `Until ${until}: ${url}`,
      };
  }
}
