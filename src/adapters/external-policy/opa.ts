import { isJsonObject } from '../../domain/json.ts';
import type { ExternalAnswer, ExternalPolicy } from '../../seams/external-policy.ts';
import { readResult } from './opa-result.ts';
import { type Endpoint, postJson } from './post-json.ts';

/** A rule of an OPA server: `POST /v1/data/<path>` with the question as `input` (OPA's REST API, Data API), one request a question, all at once. */
export function createOpaPolicy(endpoint: Endpoint, path: string): ExternalPolicy {
  const rule = path
    .split('/')
    .filter((part) => part !== '')
    .map(encodeURIComponent)
    .join('/');
  const address = `${endpoint.url.replace(/\/+$/, '')}/v1/data/${rule}`;
  const ask = async (input: unknown, signal: AbortSignal): Promise<ExternalAnswer> => {
    const said = await postJson(endpoint, address, { input }, signal);
    if (!isJsonObject(said)) throw new Error('it did not answer with an object');
    return readResult(said.result);
  };
  return {
    ask: (questions, signal) => Promise.all(questions.map((question) => ask(question, signal))),
    close: () => Promise.resolve(),
  };
}
