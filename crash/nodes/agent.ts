import { randomUUID } from 'node:crypto';
import { importJWK, SignJWT } from 'jose';
import { AGENT, type Cluster, type ClusterNode } from './cluster.ts';

/** A task as its agent holds it. Its token is good at every node. */
export interface AgentTask {
  readonly id: string;
  readonly token: string;
}

/** What an agent learns of a call. `unknown`: nothing came back, or it was said that nobody knows. */
export type Answered = 'done' | 'refused' | 'unknown';

const WITHIN_MS = 20_000;

/** @throws where that node does not give one */
export async function takeTask({ issuer, key }: Cluster, node: ClusterNode, template: string): Promise<AgentTask> {
  const now = Math.floor(Date.now() / 1000);
  const assertion = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', ...(key.kid !== undefined && { kid: key.kid }) })
    .setIssuer(AGENT)
    .setSubject(AGENT)
    .setAudience(issuer)
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(now + 60)
    .sign(await importJWK(key, 'ES256'));
  const response = await fetch(`${node.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: AGENT,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
      resource: `${issuer}/mcp`,
      authorization_details: JSON.stringify([{ type: 'remit_task', template, duration_seconds: 300 }]),
    }),
    signal: AbortSignal.timeout(WITHIN_MS),
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const answer = (await response.json()) as { access_token: string; authorization_details: { task: string }[] };
  return { id: answer.authorization_details[0]?.task ?? '', token: answer.access_token };
}

/** One call, once: what has no answer is not tried again. */
export async function call(
  node: ClusterNode,
  { token }: AgentTask,
  tool: string,
  args: Readonly<Record<string, string>>,
): Promise<{ readonly answered: Answered; readonly text: string }> {
  try {
    const response = await fetch(`${node.url}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: `effects__${tool}`, arguments: args },
      }),
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    const text = await response.text();
    if (text.includes('is not known') || response.status >= 500) return { answered: 'unknown', text };
    const isDone = response.ok && !text.includes('"isError":true') && !text.includes('"error":');
    return { answered: isDone ? 'done' : 'refused', text };
  } catch (error) {
    return { answered: 'unknown', text: String(error) };
  }
}
