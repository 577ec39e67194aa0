import { parentPort, workerData } from 'node:worker_threads';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { LoadAnswer, LoadTask } from './load-aside.ts';
import { loadPolicies } from './load-policies.ts';

/** A thread that reads and validates one set of policies, answers and ends. */
parentPort?.postMessage(answerTo(workerData as LoadTask));

function answerTo({ files, inventory }: LoadTask): LoadAnswer {
  try {
    const { schema, policies } = loadPolicies(files, inventory);
    return { loaded: { schema, policies } };
  } catch (error) {
    if (!(error instanceof RemitError)) return { failed: { code: 'ERR_INTERNAL', message: messageOf(error) } };
    const { code, message, where, hint } = error;
    return {
      failed: { code, message, ...(where !== undefined && { where }), ...(hint !== undefined && { hint }) },
    };
  }
}
