import type { ApprovalId } from '../../domain/ids.ts';
import type { ApprovalNotice, Notifier } from '../../seams/notifier.ts';

/**
 * Tells the person at the terminal that runs the gateway, with a link that signs in once: only who sees that terminal gets it, and no process
 * that an agent runs does.
 */
export function createTerminalNotifier(
  say: (line: string) => void,
  linkTo: (approval: ApprovalId) => Promise<string>,
): Notifier {
  return {
    async notify({ approval, expiresAt }: ApprovalNotice) {
      say(`a call waits for your approval until ${new Date(expiresAt).toISOString()}: ${await linkTo(approval)}`);
    },
  };
}
