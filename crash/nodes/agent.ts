import { postMessage } from '../../harness/post-message.ts';
import { type HeldTask, requestTaskToken } from '../../harness/task-token.ts';
import { AGENT, type Cluster, type ClusterNode } from './cluster.ts';

/** What an agent learns of a call. `unknown`: nothing came back, or it was said that nobody knows. */
export type Answered = 'done' | 'refused' | 'unknown';

/** Longer than every wait that the product has, put end to end, and than a fault: what takes longer hangs. */
export const WITHIN_MS = 45_000;

/** @throws where that node does not give one */
export const takeTask = (cluster: Cluster, { url }: ClusterNode, template: string): Promise<HeldTask> =>
  requestTaskToken({ agent: AGENT, ...cluster }, url, { template, duration_seconds: 300 });

/** At any node. What that node does not take is left to lapse. */
export async function endTask(node: ClusterNode, { token }: HeldTask): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  await fetch(`${node.url}/task/end`, { method: 'POST', headers, signal: AbortSignal.timeout(WITHIN_MS) }).catch(
    () => {},
  );
}

/** One call, once: what has no answer is not tried again. */
export async function call(
  node: ClusterNode,
  { token }: HeldTask,
  tool: string,
  args: Readonly<Record<string, string>>,
): Promise<{ readonly answered: Answered; readonly text: string }> {
  try {
    const message = { id: 1, method: 'tools/call', params: { name: `effects__${tool}`, arguments: args } };
    const response = await postMessage(node.url, token, message, AbortSignal.timeout(WITHIN_MS));
    const text = await response.text();
    if (text.includes('is not known') || response.status >= 500) return { answered: 'unknown', text };
    const isDone = response.ok && !text.includes('"isError":true') && !text.includes('"error":');
    return { answered: isDone ? 'done' : 'refused', text };
  } catch (error) {
    return { answered: 'unknown', text: String(error) };
  }
}
