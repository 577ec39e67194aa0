import { runRemit } from '../demo/run-remit.ts';
import type { ClientCase } from './clients.ts';
import { expectText, messageOf } from './expect-text.ts';

/** A call that a person must approve, made by a real client while somebody does so. */

/** As clients see it. */
export const HELD_TOOL = 'everything__get_annotated_message';

const HELD_REF = 'everything/get-annotated-message';

export const HELD_POLICY = `@id("held")
@step_up("approvers=anyone count=1 expires=10m")
@reason("A person looks at this first.")
forbid (principal, action == Remit::Action::"${HELD_REF}", resource);
`;

/** What the tool says once it is called. */
const PASSED = /Operation completed successfully/;
/** What a client that cannot be kept waiting is told (`remit approve …` or the page's address stand in it). */
const TOLD = /approv/i;
/** Longer than two signs of life: whoever waits has been kept waiting by them. */
const THINKS_MS = 12_000;
const LOOKS_EVERY_MS = 1_500;

export interface Held {
  readonly title: string;
  readonly problem: string | undefined;
}

/**
 * Runs a client against the held tool; a person approves after a while. Passes when the same request brings the tool's answer, or when the client
 * is told what to do and its second request does. Nothing passes unapproved.
 */
export async function tryHeld(client: ClientCase, config: string): Promise<Held> {
  const approver = approveLater(config);
  try {
    const first = await client.run().then((text) => text, messageOf);
    const approved = await approver.approved();
    if (PASSED.test(first)) {
      const problem = approved > 0 ? undefined : 'the call passed, and nobody had approved it';
      return { title: `${client.title}: kept waiting until it was approved`, problem };
    }
    const told = expectText(first, TOLD, false);
    if (told !== undefined) return { title: client.title, problem: told };
    const second = await client.run().then((text) => text, messageOf);
    return {
      title: `${client.title}: told to come back, and let through then`,
      problem: expectText(second, PASSED, false),
    };
  } finally {
    approver.stop();
  }
}

interface Approver {
  /** Resolves once something has been approved, or nothing has come for a while; with how many were. */
  approved(): Promise<number>;
  stop(): void;
}

/** A person at the command line, who takes a while. */
function approveLater(config: string): Approver {
  let isOver = false;
  let count = 0;
  const seen = new Map<string, number>();
  const looking = (async () => {
    while (!isOver) {
      const { stdout } = await runRemit(['approval', 'ls', '--json', '--config', config]);
      const listed = JSON.parse(stdout) as readonly {
        readonly id: string;
        readonly state: string;
        readonly tool: string;
      }[];
      for (const { id, state, tool } of listed) {
        if (state !== 'pending' || tool !== HELD_REF) continue;
        const since = seen.get(id) ?? performance.now();
        seen.set(id, since);
        if (performance.now() - since < THINKS_MS) continue;
        await runRemit(['approve', id, '--reason', 'looked at', '--config', config]);
        count += 1;
      }
      await pause(LOOKS_EVERY_MS);
    }
  })();
  let fault: unknown;
  looking.catch((error: unknown) => {
    fault = error;
  });
  return {
    async approved() {
      // A client that is told to come back does not wait for the person.
      const until = performance.now() + THINKS_MS + 15_000;
      while (count === 0 && fault === undefined && performance.now() < until) await pause(LOOKS_EVERY_MS);
      if (fault !== undefined) throw fault;
      return count;
    },
    stop() {
      isOver = true;
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
