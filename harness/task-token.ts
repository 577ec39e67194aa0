import { randomUUID } from 'node:crypto';
import { importJWK, type JWK, SignJWT } from 'jose';

/** A task as its agent holds it. Its token is good at every node. */
export interface HeldTask {
  readonly task: string;
  readonly token: string;
}

/** An agent of a gateway, or of several that are one to it. */
export interface HarnessAgent {
  readonly agent: string;
  readonly key: JWK;
  /** What every node calls itself. */
  readonly issuer: string;
}

const WITHIN_MS = 20_000;

/**
 * A token of the token endpoint at one node, whichever the public one is: what an agent does (RFC 7523, RFC 9396), without asking where the endpoint is.
 * @param details of the one `remit_task`: a template, a parent, or a task that runs
 * @throws where that node does not give one
 */
export async function requestTaskToken(
  { agent, key, issuer }: HarnessAgent,
  url: string,
  details: Readonly<Record<string, unknown>>,
): Promise<HeldTask> {
  const now = Math.floor(Date.now() / 1000);
  const assertion = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', ...(key.kid !== undefined && { kid: key.kid }) })
    .setIssuer(agent)
    .setSubject(agent)
    .setAudience(issuer)
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(now + 60)
    .sign(await importJWK(key, 'ES256'));
  const response = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: agent,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
      resource: `${issuer}/mcp`,
      authorization_details: JSON.stringify([{ type: 'remit_task', ...details }]),
    }),
    signal: AbortSignal.timeout(WITHIN_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${text}`);
  const answer = JSON.parse(text) as { access_token: string; authorization_details: { task: string }[] };
  return { task: answer.authorization_details[0]?.task ?? '', token: answer.access_token };
}
