import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { parseDocument } from 'yaml';
import { parseConfig, vaultKeyId } from '../../config/load-config.ts';
import type { VaultKeyConfig } from '../../config/schema.ts';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { ApprovalId, LeaseId, TaskId } from '../../domain/ids.ts';
import type { SealedRow } from '../../seams/store.ts';
import { STORE_WIDE } from '../../secrets/fingerprints.ts';
import { probe } from '../../secrets/key-ring.ts';
import { rewrapAll } from '../../secrets/rotate-keys.ts';
import { approvalRecord } from '../approvals/approval-parts.ts';
import { taskKeyRecord } from '../trail/task-keys.ts';
import type { Workspace } from '../workspace.ts';
import { leaseHandleRecord } from './lease-parts.ts';
import { STATE_KEY } from './state-key.ts';
import { ensureVaultKey, keyFileOf, keyPlaceText } from './vault-key.ts';

/** Runs a piece of work on the configuration as it is by then. */
export type WithWorkspace = <T>(work: (workspace: Workspace) => Promise<T>) => Promise<T>;

export interface KekRotation {
  readonly current: string;
  readonly former: readonly string[];
  readonly rewrapped: number;
  /** Where the former keys are, for people: they may be destroyed once no backup needs them. */
  readonly formerPlaces: readonly string[];
  /** False where the configuration could not be written: the former keys are still named there. */
  readonly isForgotten: boolean;
}

/**
 * Rotates the vault's key while everything goes on. Each step is durable before the next, and each can be repeated, so that a run that was
 * killed is finished by the next one:
 *
 *   make a key → name it in the configuration, beside the former → the gateway takes both up → wrap row by row → forget the former
 *
 * The former key is forgotten only when no row needs it.
 * @param reloadGateway has a running gateway take up the configuration's keys; resolves as well where none runs
 */
export async function rotateKek(
  withWorkspace: WithWorkspace,
  parts: {
    readonly record: (
      workspace: Workspace,
      change: { action: string; from: readonly string[]; to: string },
    ) => Promise<void>;
    readonly reloadGateway: (workspace: Workspace) => Promise<void>;
    readonly onProgress: (rewrapped: number) => void;
  },
): Promise<KekRotation> {
  await withWorkspace(async (workspace) => {
    const { vaultKey, formerVaultKeys } = workspace.config;
    if (formerVaultKeys.length === 0) return nameNewKey(workspace, parts.record);
    // Named by a person, or by a run that came no further.
    const from = formerVaultKeys.map(vaultKeyId);
    await parts.record(workspace, { action: 'vault_key_rotate', from, to: vaultKeyId(vaultKey) });
  });
  return withWorkspace(async (workspace) => {
    const { keys, store, estate, system, loaded } = workspace;
    // A key that cannot unwrap again gets nothing to wrap.
    await probe(keys.current, system.random);
    await parts.reloadGateway(workspace);
    const former = keys.former.map(({ keyId }) => keyId);
    const rotation = {
      repository: store.sealedRows,
      keys,
      tenant: estate.tenant,
      recordOf: recordNameOf,
      onProgress: parts.onProgress,
    };
    const rewrapped = await rewrapAll(rotation);
    await assertNoneLeft(workspace, former);
    const isForgotten = await forgetFormerKeys(workspace);
    if (isForgotten) await parts.reloadGateway(workspace);
    const formerPlaces = loaded.config.formerVaultKeys.map((key) => keyPlaceText(loaded, key));
    return { current: keys.current.keyId, former, rewrapped, formerPlaces, isForgotten };
  });
}

/** Name under which the vault sealed a row that is not a secret of its own. */
function recordNameOf({ kind, id }: SealedRow): string {
  if (kind === 'task_key') return id === STATE_KEY ? STATE_KEY : taskKeyRecord(id as TaskId);
  if (kind === 'approval') return approvalRecord(id as ApprovalId);
  return kind === 'signing_key' ? `signing-key:${id}` : leaseHandleRecord(id as LeaseId);
}

async function assertNoneLeft({ store, estate }: Workspace, former: readonly string[]): Promise<void> {
  const counts = await store.sealedRows.countByKey([estate.tenant, STORE_WIDE]);
  const left = former.filter((keyId) => (counts.get(keyId) ?? 0) > 0);
  if (left.length === 0) return;
  throw new RemitError('ERR_STORE_LOCKED', `rows were sealed under ${left.join(', ')} meanwhile`, {
    hint: 'Something still seals under the former key, for example another gateway: give it the new configuration, then run this again.',
  });
}

async function nameNewKey(workspace: Workspace, record: Parameters<typeof rotateKek>[1]['record']): Promise<void> {
  const { loaded, config } = workspace;
  const { vaultKey } = config;
  const next = nextKey(workspace);
  if (next === undefined) {
    throw new RemitError('ERR_USAGE', `the key of ${vaultKeyId(vaultKey)} is not Remit’s to make`, {
      where: 'vaultKey',
      hint: 'Make a new key, name it as vaultKey and the present one under formerVaultKeys, restart the gateway, then run this again.',
    });
  }
  await record(workspace, { action: 'vault_key_rotate', from: [vaultKeyId(vaultKey)], to: vaultKeyId(next) });
  // One that is there already was made by a run that came no further: nothing was wrapped with it, since nothing names it.
  await ensureVaultKey(loaded, next);
  await writeKeys(workspace, next, [vaultKey]);
}

function nextKey({ loaded, config: { vaultKey } }: Workspace): VaultKeyConfig | undefined {
  if (vaultKey.kind === 'keyring') return { ...vaultKey, account: nextName(vaultKey.account) };
  if (vaultKey.kind !== 'file') return undefined;
  const name = nextName(vaultKey.name);
  const path = join(dirname(keyFileOf(loaded, vaultKey)), `vault-${name}.key`);
  return { kind: 'file', name, path: relative(dirname(loaded.path), path) };
}

const nextName = (name: string): string => {
  const [, stem = `${name}-`, number = '1'] = /^(.*?)(\d+)$/.exec(name) ?? [];
  return `${stem}${Number(number) + 1}`;
};

/** False where the file cannot be written by us: then a person takes the former keys out. */
async function forgetFormerKeys(workspace: Workspace): Promise<boolean> {
  try {
    await writeKeys(workspace, workspace.config.vaultKey, []);
    return true;
  } catch (error) {
    workspace.system.log.warn({ error: messageOf(error) }, 'the configuration could not be written');
    return false;
  }
}

/** By rename, as comments and everything else stay: whoever reads it meanwhile finds the old file or the new one, whole. */
async function writeKeys(
  { loaded: { path } }: Workspace,
  current: VaultKeyConfig,
  former: readonly VaultKeyConfig[],
): Promise<void> {
  const document = parseDocument(await readFile(path, 'utf8'));
  const inline = (value: unknown) => document.createNode(value, { flow: true });
  document.set('vaultKey', inline(current));
  if (former.length === 0) document.delete('formerVaultKeys');
  else document.set('formerVaultKeys', inline(former));
  const text = document.toString({ lineWidth: 0 });
  parseConfig(text, path);
  const draft = `${path}.new`;
  await writeFile(draft, text);
  await rename(draft, path);
}
