import { RemitError } from '../../domain/errors.ts';
import type { Workspace } from '../workspace.ts';
import { stateOf } from './node-findings.ts';

/** Rows that say what the nodes of a tenant call themselves. */
const MODEL = 'nodes_url';

/**
 * Nodes of one store are one gateway to agents: each takes the tokens that the others give, which are for one URL. One that is called otherwise would give tokens that the
 * others refuse, and refuse theirs, now and then, as requests come to it or not.
 * @param url under which agents reach this one
 * @throws `ERR_CONFIG_INVALID` where others run that are called otherwise; `ERR_STORE_*`
 */
export async function assertSameUrl({ store, node, estate, system }: Workspace, url: string): Promise<void> {
  if (store.shared === undefined) return;
  const { tenant } = estate;
  const row = await store.oauth.find(MODEL, tenant, Math.floor(system.clock() / 1000));
  const theirs = (row?.payload as { readonly url?: unknown } | undefined)?.url;
  if (theirs === url) return;
  const others = (await store.shared.nodes.list(tenant)).filter((one) => one.name !== node && stateOf(one) !== 'lost');
  if (theirs === undefined || others.length === 0) return await store.oauth.upsert(MODEL, tenant, { url }, undefined);
  throw new RemitError(
    'ERR_CONFIG_INVALID',
    `this node is ${url} to agents, and the others that run are ${String(theirs)}: they would refuse each other’s tokens`,
    {
      where: 'publicUrl',
      hint: 'Set the same publicUrl at every node. To change it, stop all of them first: tokens of before are refused then.',
    },
  );
}
