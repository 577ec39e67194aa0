import { createHash } from 'node:crypto';
import type { Recorder } from '../../audit/recorder.ts';
import { isRemitError, messageOf, RemitError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { createSealedTexts } from '../../secrets/sealed-texts.ts';
import { loadOrCreateStateKey } from '../credentials/state-key.ts';
import { repeat } from '../repeat.ts';
import type { Workspace } from '../workspace.ts';
import type { NamedText } from './policy-cases.ts';
import type { GivenPolicies, PolicyInForce } from './policy-in-force.ts';

/** How often it is looked whether another node has put others in force, whatever notices are lost. */
const LOOK_MS = 1_000;
/** What a node has published does not become old. */
const FOR_EVER_MS = 100 * 365 * 86_400_000;
/** Of several that publish at once one is first; so often the others come after it. */
const MOST_TRIES = 8;

/** What nodes of one store have in force is one version. */
export interface SharedPolicies {
  /** They are in force at all nodes from now on, as soon as each has read them. Nothing where they are by the store's word. @throws `ERR_STORE_*` */
  publish(policies: GivenPolicies): Promise<void>;
  /**
   * At the start: the folder's are put in force at all nodes, unless they are an older version of what is. Then those of the store are taken. From then on
   * it is followed what others put in force.
   * @throws `ERR_STORE_*`, what `Recorder.record` throws
   */
  begin(): Promise<void>;
  lookNow(): void;
}

/** Undefined where the store is one gateway's alone. What the store says is believed where its nodes have sealed it, and not otherwise. */
export async function sharePolicies(
  workspace: Pick<Workspace, 'store' | 'node' | 'estate' | 'vault' | 'system' | 'config'>,
  parts: {
    readonly policies: Pick<PolicyInForce, 'current' | 'takeUp'>;
    readonly recorder: Recorder;
    readonly closers: (() => unknown)[];
  },
): Promise<SharedPolicies | undefined> {
  const { store, node, vault, config, estate, system } = workspace;
  const { tenant } = estate;
  const { clock, random, schedule, log } = system;
  const sets = store.shared?.policies;
  if (sets === undefined || node === undefined) return undefined;
  const { policies, recorder } = parts;
  const sealed = createSealedTexts({
    tenant,
    stateKey: await loadOrCreateStateKey({ tenant, repository: store.taskKeys, vault, random, clock }),
    purpose: 'remit policies',
    label: 'policies-1',
    clock,
    random,
  });
  /** The newest that this node has put in force, or has found that it cannot. */
  let seen = 0;
  /** What is being taken up; 0: nothing that could be read. */
  let finding = 0;

  async function publish({ texts, by }: GivenPolicies): Promise<void> {
    const digest = digestOf(texts);
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const newest = await sets?.newest(tenant);
      if (newest?.digest === digest) {
        seen = newest.position;
        return;
      }
      // Never back: a store that was put back from a copy has fewer.
      const position = Math.max(newest?.position ?? 0, seen) + 1;
      const value = { by, node, files: texts.map(({ name, text }) => [name, text]) };
      if (
        await sets?.publish(tenant, { position, digest, sealed: sealed.seal(String(position), value, FOR_EVER_MS) })
      ) {
        seen = position;
        return;
      }
    }
    throw new RemitError('ERR_STORE_LOCKED', 'other nodes put policies in force at the same time, again and again', {
      hint: 'Try again, at one node.',
    });
  }

  const publishOwn = (by: string): Promise<void> => {
    const { texts } = policies.current();
    return publish({ texts, by });
  };

  /** What is in force by the store and not here. */
  async function find(): Promise<GivenPolicies | undefined> {
    const newest = await sets?.newest(tenant);
    if (newest?.position === seen) return undefined;
    if (newest === undefined || newest.position < seen) {
      log.warn({}, 'the store has forgotten which policies are in force: it is told again');
      await publishOwn('a store that was put back');
      return undefined;
    }
    if (newest.digest !== digestOf(policies.current().texts)) {
      const text = await sets?.read(tenant, newest.position);
      // There is a newer one already.
      if (text === undefined) return undefined;
      finding = newest.position;
      const given = readSealed(sealed.open(String(newest.position), text));
      if (given !== undefined && digestOf(given.texts) === newest.digest) return given;
      seen = newest.position;
      throw new RemitError('ERR_STORE_SCHEMA', 'policies in the store were not put there by a node of it', {
        hint: 'The store was altered, or a node has another vault key. Reload the policies at a node that has the right ones.',
      });
    }
    seen = newest.position;
    return undefined;
  }
  async function look(): Promise<void> {
    finding = 0;
    try {
      const newest = await sets?.newest(tenant);
      if (newest !== undefined && newest.position === seen) return;
      await policies.takeUp(find);
      seen = Math.max(seen, finding);
    } catch (error) {
      // What cannot be valid here stays so until somebody changes it; anything else may be better at the next look.
      if (isRemitError(error, 'ERR_POLICY_INVALID')) seen = Math.max(seen, finding);
      const { where, hint } = error instanceof RemitError ? error : {};
      const said = { error: messageOf(error), where, hint };
      if (finding === 0) log.warn(said, 'it could not be read which policies are in force: those before stay');
      else log.error(said, 'policies that another node put in force are not in force here: those before stay');
    }
  }

  /** One look at a time, and one more where it was asked for meanwhile. */
  let looking: Promise<void> | undefined;
  let isWanted = false;
  function lookNow(): void {
    isWanted = true;
    looking ??= (async () => {
      while (isWanted) {
        isWanted = false;
        await look();
      }
    })().finally(() => {
      looking = undefined;
    });
  }

  return {
    publish,
    async begin() {
      const { policies: count, cases, files, texts } = policies.current();
      const digest = digestOf(texts);
      const newest = await sets.newest(tenant);
      const isOlder = newest !== undefined && config.policyReload === 'manual' && (await sets.had(tenant, digest));
      if (newest?.digest === digest) seen = newest.position;
      else if (isOlder) {
        log.warn(
          { folder: digest, inForce: newest.digest },
          'the policies folder holds what was in force before: those in force at the other nodes are taken. `remit policy reload` puts the folder in force at all',
        );
        await look();
      } else {
        const by = `the start of ${node}`;
        if (newest !== undefined) {
          const detail = {
            action: 'policies_published',
            replaced: newest.digest,
            digest,
            policies: count,
            cases,
            files,
            by,
          };
          await recorder.record({ type: 'administration', detail });
        }
        await publishOwn(by);
      }
      parts.closers.push(
        repeat(schedule, LOOK_MS, async () => {
          lookNow();
          await looking;
        }),
      );
    },
    lookNow,
  };
}

function readSealed(value: JsonObject | undefined): GivenPolicies | undefined {
  if (!isJsonObject(value)) return undefined;
  const { by, node, files } = value;
  if (!Array.isArray(files)) return undefined;
  const texts = (files as readonly [string, string][]).map(
    ([name, text]): NamedText => ({ name, path: `${name} (of ${node})`, text }),
  );
  return { by: `${by}, at node ${node}`, texts };
}

/** Of what decides: whatever the estate is that it is read against. The same for the same files at every node. */
function digestOf(texts: readonly NamedText[]): string {
  const deciding = texts.filter(({ name }) => name.endsWith('.cedar')).map(({ name, text }) => [name, text]);
  return `sha256:${createHash('sha256').update(JSON.stringify(deciding)).digest('hex')}`;
}
