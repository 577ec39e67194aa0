import { Client } from 'undici';

export interface WatchTimes {
  /** Between two looks, while requests wait: milliseconds. */
  readonly lookMs: number;
  /** A node that is asked whether it is there, and says nothing for so long, may not be; asked once more, it is lost. */
  readonly answerMs: number;
}

/** Requests that were passed on to one node, and wait for it. */
export interface PeerWatch {
  /** One more waits. */
  begin(): void;
  /** Something came from there. */
  heard(): void;
  /** One waits no more. */
  end(): void;
}

/**
 * Looks after what waits for a node: an answer may take long, and a stream be silent for long, but a network that loses packets tells nobody that none will come. So while something waits and
 * nothing is heard the node is asked, on a connection of its own.
 * @param ask whether the node is there. Never rejects
 * @param onLost it does not answer: nothing of what waits will be answered
 */
export function createPeerWatch(lookMs: number, ask: () => Promise<boolean>, onLost: () => void): PeerWatch {
  let waiting = 0;
  let hasHeard = false;
  let isLooking = false;

  function lookLater(): void {
    isLooking = true;
    setTimeout(() => void look(), lookMs).unref();
  }

  async function look(): Promise<void> {
    const isThere = hasHeard || waiting === 0 || (await ask()) || hasHeard || (await ask()) || hasHeard;
    hasHeard = false;
    isLooking = false;
    if (waiting === 0) return;
    if (isThere) lookLater();
    else onLost();
  }

  return {
    begin() {
      waiting += 1;
      if (!isLooking) lookLater();
    },
    heard() {
      hasHeard = true;
    },
    end() {
      waiting -= 1;
    },
  };
}

/** What a host says for itself: its process takes no more connections, or has ended. What waits for it is told the same way. */
const SAID: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** Whether something answers there, whatever it answers. Never rejects. */
export async function isAnswering(address: string, host: string, withinMs: number): Promise<boolean> {
  const client = new Client(address, { connect: { timeout: withinMs } });
  try {
    const { body } = await client.request({
      path: '/healthz',
      method: 'GET',
      headers: { host },
      signal: AbortSignal.timeout(withinMs),
    });
    await body.dump();
    return true;
  } catch (error) {
    return SAID.has(String((error as { readonly code?: unknown }).code));
  } finally {
    await client.destroy();
  }
}
