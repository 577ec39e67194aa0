import { createInterface } from 'node:readline';
import { createMcpOauthIssuer } from '../../src/adapters/issuers/mcp-oauth/mcp-oauth-issuer.ts';
import { oauthRefreshSetup } from '../../src/compose/credentials/oauth-refresh-setup.ts';
import { createSystem } from '../../src/compose/system.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';
import { isRemitError } from '../../src/domain/errors.ts';
import { agentId, leaseId, taskId } from '../../src/domain/ids.ts';
import type { ActionClass } from '../../src/domain/tool.ts';

/**
 * A gateway's part that makes leases out of a stored refresh token, as a process of its own, to be killed: `CONFIG CONNECTOR CLAIM_MS`. Each
 * line on standard input asks for a lease, and is answered by a line of JSON.
 */
const [config = '', name = '', claimMs = '20000'] = process.argv.slice(2);
const workspace = await openWorkspace(config, createSystem({ log: 'silent' }));
const connector = [...workspace.estate.connectors.values()].find(({ id }) => id === name);
const credential = connector?.config.credential?.oauthRefresh;
if (connector === undefined || credential === undefined) throw new Error(`no connector ${name} with oauthRefresh`);
const issuer = createMcpOauthIssuer({
  ...oauthRefreshSetup(workspace, {} as never, connector.id, credential),
  claimMs: Number(claimMs),
});
const say = (what: object): boolean => process.stdout.write(`${JSON.stringify(what)}\n`);
say({ said: 'ready' });
let pending: Promise<unknown> = Promise.resolve();
for await (const line of createInterface({ input: process.stdin })) {
  const issued = issuer
    .issue({
      lease: leaseId('lse_00000000000000000000000001'),
      tenant: workspace.estate.tenant,
      task: taskId('tsk_00000000000000000000000001'),
      agent: agentId('scribe'),
      user: undefined,
      connector: connector.id,
      tool: undefined,
      tag: 'remit_test',
      resources: [],
      actionClasses: line.split(' ') as ActionClass[],
      expiresAt: Date.now() + 300_000,
      signal: AbortSignal.timeout(30_000),
    })
    .then(
      ({ fields, scope }) => say({ token: fields.token?.reveal(), scope }),
      (error: unknown) =>
        say(isRemitError(error) ? { refused: error.message, hint: error.hint } : { refused: String(error) }),
    );
  pending = Promise.all([pending, issued]);
}
await pending;
await issuer.close();
await workspace.close();
