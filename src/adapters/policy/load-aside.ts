import { Worker, type WorkerOptions } from 'node:worker_threads';
import { type ErrorCode, RemitError } from '../../domain/errors.ts';
import { type LoadedPolicies, loadPolicies, type PolicyFile } from './load-policies.ts';
import type { PolicyInventory } from './policy-inventory.ts';

/** What the thread is given. */
export interface LoadTask {
  readonly files: readonly PolicyFile[];
  readonly inventory: PolicyInventory;
}

/** What it answers. */
export type LoadAnswer =
  | { readonly loaded: Omit<LoadedPolicies, 'inventory'> }
  | {
      readonly failed: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly where?: string;
        readonly hint?: string;
      };
    };

/** Up to so many pairs of a policy and a tool are quick enough to be validated at once: some 100 ms. */
const FEW_PAIRS = 2_000;
/** Reading a policy, and knowing its types, takes as long as so many pairs, however few tools there are. */
const PAIRS_OF_A_POLICY = 15;

/** Undefined where this runs from its sources, as most tests do: a thread of Node 20 cannot load them. */
const THREAD = import.meta.url.endsWith('.js') ? new URL('./load-worker.js', import.meta.url) : undefined;

/**
 * `loadPolicies` beside the event loop. Reading and validating a large set are calls of Cedar that take seconds and cannot be cut in pieces, and while
 * they last a gateway answers nobody and misses its beats: so they are another thread's, with an instance of Cedar of its own. What validates
 * here and there is the same code.
 * @throws as `loadPolicies`; `ERR_INTERNAL` for a thread that ended without an answer; the reason of the signal
 */
export async function loadAside(
  files: readonly PolicyFile[],
  inventory: PolicyInventory,
  signal?: AbortSignal,
  fewPairs = FEW_PAIRS,
): Promise<LoadedPolicies> {
  signal?.throwIfAborted();
  const tools = inventory.connectors.reduce((sum, connector) => sum + connector.tools.length, 0);
  // Before anything is parsed, semicolons are as good a count as any.
  const policies = files.reduce((sum, { text }) => sum + text.split(';').length - 1, 0);
  if (THREAD === undefined || policies * (tools + PAIRS_OF_A_POLICY) <= fewPairs) return loadPolicies(files, inventory);
  const answer = await ask(THREAD, { files, inventory }, signal);
  if ('loaded' in answer) return { ...answer.loaded, inventory };
  const { code, message, where, hint } = answer.failed;
  throw new RemitError(code, message, { ...(where !== undefined && { where }), ...(hint !== undefined && { hint }) });
}

function ask(script: URL, workerData: LoadTask, signal: AbortSignal | undefined): Promise<LoadAnswer> {
  return new Promise((resolve, reject) => {
    const worker = startThread(script, { workerData });
    // A process that stops does not wait for it.
    worker.unref();
    const stop = (): void => {
      reject(signal?.reason);
      end();
    };
    const end = (): void => {
      signal?.removeEventListener('abort', stop);
      void worker.terminate().catch(() => {});
    };
    signal?.addEventListener('abort', stop, { once: true });
    worker.once('message', (answer: LoadAnswer) => {
      resolve(answer);
      end();
    });
    worker.once('error', (cause) => {
      reject(noAnswer(cause));
      end();
    });
    worker.once('exit', () => reject(noAnswer(undefined)));
  });
}

function startThread(script: URL, options: WorkerOptions): Worker {
  try {
    return new Worker(script, options);
  } catch (error) {
    throw noAnswer(error);
  }
}

function noAnswer(cause: unknown): RemitError {
  return new RemitError('ERR_INTERNAL', 'the policies could not be validated: the thread that does so has ended', {
    where: 'policies',
    hint: 'Try again; it may have had too little memory. The policies of before stay in force.',
    cause,
  });
}
