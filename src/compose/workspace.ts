import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type LoadedConfig, loadConfig } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { messageOf, RemitError } from '../domain/errors.ts';
import type { Store } from '../seams/store.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import { createVault, type Vault } from '../secrets/vault.ts';
import { keepStateKey } from './credentials/state-key.ts';
import { keyFileOf, openKeyRing } from './credentials/vault-key.ts';
import { buildEstate, type Estate } from './estate.ts';
import { withNodeAddress } from './nodes/node-address.ts';
import { nodeName } from './nodes/node-name.ts';
import type { System } from './system.ts';
import { readWorker, WORKER_VARIABLE, type Worker, workerFolder } from './workers/worker.ts';

/** Where the parts of a gateway lie on disk. All absolute. */
export interface Places {
  readonly data: string;
  /** What is this node's alone: the data folder, or of a worker a folder in it. */
  readonly node: string;
  readonly journal: string;
  readonly socket: string;
  /** Of the current vault key, where that is a file. */
  readonly keyFile: string;
  readonly policies: string;
  /** Where `remit connect` listens for hooks of its client. */
  readonly sessions: string;
  /** Private keys of agents that were made here. */
  readonly agentKey: (agent: string) => string;
}

/** A configuration with its store and vault open: what every command needs, gateway running or not. */
export interface Workspace {
  readonly loaded: LoadedConfig;
  readonly config: Config;
  readonly estate: Estate;
  readonly places: Places;
  readonly system: System;
  readonly keys: KeyRing;
  readonly store: Store;
  readonly vault: Vault;
  /** The key that all nodes of the store have. @throws as `loadOrCreateStateKey` */
  readonly stateKey: () => Promise<Buffer>;
  /** Name of this data folder among those of one store; undefined where the store is one gateway's alone. */
  readonly node: string | undefined;
  /** Undefined where one process alone serves this data folder. */
  readonly worker: Worker | undefined;
  close(): Promise<void>;
}

/** @param worker whose they are; left out: as the environment says, of the data folder itself where it says nothing */
export function placesOf(loaded: LoadedConfig, worker = readWorker(process.env[WORKER_VARIABLE])): Places {
  const { config, resolvePath } = loaded;
  const data = resolvePath(config.data);
  const node = worker === undefined ? data : join(data, workerFolder(worker));
  return {
    data,
    node,
    journal: join(node, 'journal'),
    socket: join(node, 'admin.sock'),
    keyFile: keyFileOf(loaded, config.vaultKey),
    policies: resolvePath(config.policies),
    sessions: join(data, 'sessions'),
    agentKey: (agent) => join(data, 'agents', `${agent}.key.json`),
  };
}

/** Opens what `remit.yaml` names. @throws `ERR_CONFIG_…`, `ERR_STORE_…` */
export async function openWorkspace(configPath: string, system: System, worker?: Worker): Promise<Workspace> {
  const loaded = await loadConfig(configPath);
  const config = withNodeAddress(loaded.config, system);
  const places = placesOf(loaded, worker?.number);
  await mkdir(places.node, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw new RemitError('ERR_STORE_UNREACHABLE', `the data folder cannot be made: ${messageOf(cause)}`, {
      where: places.node,
      hint: 'Name a folder that this user may write, with `data` in remit.yaml.',
      cause,
    });
  });
  const keys = openKeyRing(loaded, system);
  const estate = buildEstate(config);
  const store = await openStore(config, places, system);
  const node = store.shared && (await nameOf(places, system, store));
  const { tenant } = estate;
  const { clock, schedule, random } = system;
  const vault = createVault({ repository: store.secrets, keys, tenant, clock, schedule, random });
  const stateKey = keepStateKey({ tenant, repository: store.taskKeys, vault, random, clock });
  const close = (): Promise<void> => store.close();
  return { loaded, config, estate, places, system, keys, store, vault, stateKey, node, worker, close };
}

/** @throws `ERR_STORE_UNREACHABLE` where the data folder cannot be written, `ERR_CONFIG_INVALID` */
async function nameOf({ node }: Places, { random }: System, store: Store): Promise<string> {
  try {
    return await nodeName(node, random);
  } catch (cause) {
    await store.close();
    if (cause instanceof RemitError) throw cause;
    throw new RemitError('ERR_STORE_UNREACHABLE', `the data folder cannot be used: ${messageOf(cause)}`, {
      where: node,
      hint: 'Let this user own it, on a disk that can be written and has room, or name another with `data` in remit.yaml.',
      cause,
    });
  }
}

async function openStore(config: Config, places: Places, system: System): Promise<Store> {
  // Loaded here: commands that open no store need not wait for what a store is made of.
  if (config.store.kind === 'sqlite') {
    const { openSqlite } = await import('../adapters/store/open-sqlite.ts');
    return openSqlite({ path: join(places.data, 'remit.db') });
  }
  const { urlVariable, connections } = config.store;
  const url = system.environment(urlVariable);
  if (url === undefined || url === '') {
    throw new RemitError(
      'ERR_STORE_UNREACHABLE',
      `the environment variable ${urlVariable} with the store’s URL is not set`,
      {
        where: 'store.urlVariable',
        hint: `Set ${urlVariable}=postgres://user:password@host:5432/remit.`,
      },
    );
  }
  const { openPostgres } = await import('../adapters/store/open-postgres.ts');
  return openPostgres({ url, connections });
}
