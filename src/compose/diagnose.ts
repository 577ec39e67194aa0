import { existsSync } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { probeContainment } from '../adapters/upstreams/probe-containment.ts';
import { probeSandbox } from '../adapters/upstreams/probe-sandbox.ts';
import { readPublicKeys } from '../agent/agent-key.ts';
import { SECRET_NAME } from '../config/schema-parts.ts';
import { isRemitError, messageOf, RemitError } from '../domain/errors.ts';
import { probe } from '../secrets/key-ring.ts';
import type { SecretEntry } from '../secrets/vault.ts';
import { type ClockCheck, checkClock } from './check-clock.ts';
import { checkLimits, readOpenFilesLimit } from './check-limits.ts';
import { estateFindings } from './connectors/estate-findings.ts';
import { authorizationName } from './credentials/authorization-store.ts';
import { checkLeases } from './credentials/check-leases.ts';
import { credentialFindings } from './credentials/credential-findings.ts';
import { boundException } from './credentials/shared-secrets.ts';
import { staticPlace } from './credentials/static-place.ts';
import { roomProblem } from './disk-room.ts';
import { checkNodes } from './nodes/check-nodes.ts';
import { assertCasesHold } from './policies/case-report.ts';
import { checkInForce } from './policies/check-in-force.ts';
import { observeFindings } from './policies/observations.ts';
import { tryPolicies } from './policies/try-policies.ts';
import { createJournalAccess } from './trail/journal-access.ts';
import { workerFolders } from './workers/worker-folders.ts';
import type { Workspace } from './workspace.ts';

/** One thing that `remit doctor` looked at. */
export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly what: string;
  readonly hint?: string;
}

/** Looks at everything that can be looked at without changing anything. */
export async function diagnose(workspace: Workspace): Promise<Check[]> {
  const { estate, places, loaded, store, keys, vault, system } = workspace;
  const checks: Check[] = [];
  const check = async (
    name: string,
    look: () => Promise<Omit<Check, 'name' | 'state'> & { state?: Check['state'] }>,
  ): Promise<void> => {
    try {
      checks.push({ name, state: 'ok', ...(await look()) });
    } catch (error) {
      const hint = error instanceof RemitError ? error.hint : undefined;
      checks.push({ name, state: 'fail', what: messageOf(error), ...(hint !== undefined && { hint }) });
    }
  };

  await check('configuration', async () => ({
    what: `${estate.agents.size} agents, ${estate.connectors.size} connectors, ${estate.templates.size} templates in ${loaded.path}`,
  }));
  await check('policies', async () => {
    const { policies, results } = await tryPolicies(places.policies, estate);
    assertCasesHold(results);
    if (policies > 0) return { what: `${policies} policies are valid, and ${results.length} cases hold` };
    return {
      state: 'warn',
      what: `${places.policies} holds no policy: a gateway that decides by it denies everything`,
      hint: 'Put a *.cedar file into it.',
    };
  });
  for (const { text, next, kind } of observeFindings(workspace))
    checks.push({ name: 'observe', state: kind === 'only_observed' ? 'warn' : 'ok', what: text, hint: next });
  await check('store', async () => ({
    what: `open; ${(await store.tasks.list(estate.tenant, { state: 'active' })).length} active tasks`,
  }));
  await check('leases', () => checkLeases(workspace));
  try {
    for (const node of await checkNodes(workspace)) checks.push({ name: 'nodes', ...node });
  } catch (error) {
    checks.push({ name: 'nodes', state: 'fail', what: messageOf(error) });
  }
  if (store.shared !== undefined) {
    await check('policies in force', () => checkInForce(workspace));
    await check('clock', async () => {
      const { what, hint } = (await checkClock(workspace)) as ClockCheck;
      return hint === undefined ? { what } : { state: 'fail', what, hint };
    });
  }
  await check('vault key', async () => {
    await probe(keys.current, system.random);
    const entries = await vault.list();
    for (const { name } of entries) (await vault.get(name)).wipe();
    const what = `${keys.current.keyId} opens all ${entries.length} secrets`;
    if (keys.former.length === 0) return { what };
    return {
      state: 'warn',
      what: `a rotation is under way: ${keys.current.keyId} beside ${keys.former.map(({ keyId }) => keyId).join(', ')}`,
      hint: 'Finish it with `remit keys rotate-kek`.',
    };
  });
  await check('data folder', async () => {
    const { mode } = await stat(places.data);
    for (const folder of new Set([places.data, places.node, places.journal])) {
      const isWritable = await access(folder, constants.W_OK).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
      );
      if (!isWritable) {
        const hint =
          'Let the user that runs the gateway own it, on a disk that can be written, or name another with `data` in remit.yaml.';
        return { state: 'fail', what: `${folder} cannot be written`, hint };
      }
    }
    const room = await roomProblem(places.node);
    if (room?.state === 'fail') return room;
    if ((mode & 0o077) === 0) return room ?? { what: `${places.data} is private` };
    return {
      state: 'warn',
      what: `${places.data} can be entered by others`,
      hint: `Run \`chmod 700 ${places.data}\`.`,
    };
  });
  for (const agent of estate.agents.values()) {
    await check(`agent ${agent.id}`, async () => ({
      what: `${(await readPublicKeys(loaded.resolvePath(agent.publicKeys))).keys.length} public keys; owner ${agent.owner}`,
    }));
  }
  for (const { name, folder } of await journalsOf(places))
    await check(name, async () => {
      try {
        const verified = await createJournalAccess(folder).verify({ key: undefined, anchorFile: undefined });
        if (verified.ok) return { what: `${verified.size} records verify` };
        return { state: 'fail', what: verified.problem.what, hint: 'Run `remit audit verify` for the place.' };
      } catch (error) {
        if (isRemitError(error, 'ERR_NOT_FOUND'))
          return { state: 'warn', what: 'there is none yet', hint: 'It is made at the first `remit up`.' };
        throw error;
      }
    });
  await check('open files', async () => {
    const { needed, available, problem } = checkLimits(workspace.config, await readOpenFilesLimit());
    if (problem !== undefined) return { state: 'warn', ...problem };
    return { what: `${needed} at most, of ${available ?? 'any number'} that a process started like this one may have` };
  });
  const path = system.environment('PATH') ?? '';
  const plan = await probeContainment(path);
  await check('containment', async () => {
    if (plan.mode === 'pid_namespace') {
      return {
        what: 'child processes live in a PID namespace that dies with the gateway; a watcher process is the second line',
      };
    }
    return {
      state: 'warn',
      what: 'no PID namespace on this host; a watcher process ends the children',
      hint: 'Allow unprivileged user namespaces to have both lines.',
    };
  });
  await check('sandbox', async () => {
    const support = await probeSandbox(path, plan);
    if (support.isUsable) {
      return { what: `bubblewrap ${support.version} (${support.program}) works behind this containment` };
    }
    return {
      state: 'warn',
      what: `no sandbox for connectors: ${support.reason}; one that is configured to run in a sandbox is not started`,
      hint: 'Install bubblewrap (`apt-get install bubblewrap`) and allow user namespaces.',
    };
  });
  await check('secrets', async () => {
    const findings = (await estateFindings(workspace)).filter(({ kind }) => !OWN_LINES.has(kind));
    const [first] = findings;
    if (first === undefined) return { what: secretsText(await vault.list(), system.clock()) };
    const more = findings.length > 1 ? `; and ${findings.length - 1} more` : '';
    return {
      state: findings.some(({ severity }) => severity === 'high') ? 'fail' : 'warn',
      what: `${first.refs.join(', ')}: ${first.text}${more}`,
      hint: `${first.next} \`remit findings\` lists all.`,
    };
  });
  for (const { id, config } of estate.connectors.values()) {
    for (const { what, hint } of credentialFindings(config))
      checks.push({ name: `connector ${id}`, state: 'warn', what, hint });
  }
  for (const { id, config } of estate.connectors.values()) {
    const { mcpOauth, oauthRefresh } = config.credential ?? {};
    if (mcpOauth === undefined && (oauthRefresh === undefined || oauthRefresh.refreshToken !== undefined)) continue;
    await check(`connector ${id}`, async () => {
      const entry = (await vault.list()).find(({ name }) => name === authorizationName(id));
      if (entry !== undefined) return { what: 'its owner has authorised Remit; see `remit connector authorizations`' };
      const hint = `Its owner does, once: \`remit connector authorize ${id}\`.`;
      return { state: 'warn', what: 'nobody has authorised Remit at its server: it cannot be called', hint };
    });
  }
  for (const { id, config } of estate.connectors.values()) {
    const credential = config.credential?.static;
    if (credential === undefined) continue;
    const exception = boundException(workspace.config, id, credential);
    await check(`connector ${id}`, async () => {
      const isOver = Date.parse(exception.expires) <= system.clock();
      const entry = (await vault.list()).find(({ name }) => name === credential.secret);
      const stored =
        entry === undefined ? 'not stored' : `version ${entry.version}, ${days(system.clock(), entry)} days old`;
      const age = credential.vaultKv === undefined ? stored : 'kept there';
      return {
        state: isOver ? 'fail' : 'warn',
        what: `static secret ${staticPlace(credential)} (${age}) under an exception of ${exception.owner} until ${exception.expires}: ${exception.reason}`,
        hint: isOver
          ? 'The exception has ended, calls are refused: renew it deliberately, or end the need for it.'
          : 'Replace it by a credential that can be leased.',
      };
    });
  }
  await check('separation', async () => ({
    state: 'warn',
    what: 'agents that run under this same user can read the environment of the gateway’s children',
    hint: 'In production run the gateway under a user of its own; see SECURITY.md.',
  }));
  return checks;
}

/** The journal of the data folder, or those of its workers. */
async function journalsOf({ node, journal }: Workspace['places']): Promise<{ name: string; folder: string }[]> {
  const workers = await workerFolders(node);
  if (workers.length === 0 || existsSync(journal)) workers.unshift(node);
  return workers.map((one) => ({
    name: one === node ? 'journal' : `${basename(one)} journal`,
    folder: join(one, basename(journal)),
  }));
}

/** Findings that have a line of their own. */
const OWN_LINES: ReadonlySet<string> = new Set([
  'only_observed',
  'observation_ended',
  'legacy_credential',
  'exception_ended',
  'vault_key',
  'unused_secret',
  'credential_in_arguments',
  'no_native_expiry',
  'node_policies',
  'node_versions',
  'node_address',
]);

const days = (now: number, { createdAt }: SecretEntry): number => Math.floor((now - createdAt) / 86_400_000);

function secretsText(entries: readonly SecretEntry[], now: number): string {
  const own = entries.filter(({ name }) => SECRET_NAME.test(name));
  if (own.length === 0) return 'the vault holds none';
  return `${own.length}, the oldest version ${Math.max(...own.map((entry) => days(now, entry)))} days old; none is shared without an exception`;
}
