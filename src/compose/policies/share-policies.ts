import type { Recorder } from '../../audit/recorder.ts';
import { isRemitError, messageOf, RemitError } from '../../domain/errors.ts';
import { repeat } from '../repeat.ts';
import type { Workspace } from '../workspace.ts';
import { createGrowingPause } from './growing-pause.ts';
import type { GivenPolicies, PolicyInForce } from './policy-in-force.ts';
import { createSealedPolicies, digestOf, notOfANode } from './sealed-policies.ts';

/** How often it is looked whether another node has put others in force, whatever notices are lost. */
const LOOK_MS = 1_000;
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
  workspace: Pick<Workspace, 'store' | 'node' | 'estate' | 'stateKey' | 'system' | 'config'>,
  parts: {
    readonly policies: Pick<PolicyInForce, 'current' | 'takeUp'>;
    readonly recorder: Recorder;
    readonly closers: (() => unknown)[];
  },
): Promise<SharedPolicies | undefined> {
  const { store, node, config, estate, system } = workspace;
  const { tenant } = estate;
  const { schedule, clock, random, log } = system;
  const sets = store.shared?.policies;
  if (sets === undefined || node === undefined) return undefined;
  const { policies, recorder } = parts;
  const sealed = createSealedPolicies({ tenant, stateKey: await workspace.stateKey(), clock, random }, node);
  /** The newest that this node has put in force, or has found that it cannot. */
  let seen = 0;
  /** What is being taken up; 0: nothing that could be read. */
  let finding = 0;
  /** Until then a look would take for news of others what the start is to be weighed against. */
  let isBegun = false;
  /** The newest cannot be valid here: what this node has is not what the others should have. */
  let isBehind = false;
  /** What was said last of looks that fail: it is said once, not each second. */
  let told: string | undefined;
  /** Where policies that are valid cannot be put in force: trying costs a processor seconds, and leaves a record. */
  const pause = createGrowingPause();

  async function publish(given: GivenPolicies): Promise<void> {
    const digest = digestOf(given.texts);
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const newest = await sets?.newest(tenant);
      if (newest?.digest === digest) return putInForce(newest.position);
      // Never back: a store that was put back from a copy has fewer.
      const position = Math.max(newest?.position ?? 0, seen) + 1;
      if (await sets?.publish(tenant, { position, digest, sealed: sealed.seal(position, given) }))
        return putInForce(position);
    }
    throw new RemitError('ERR_STORE_LOCKED', 'other nodes put policies in force at the same time, again and again', {
      hint: 'Try again, at one node.',
    });
  }

  function putInForce(position: number): void {
    seen = position;
    isBehind = false;
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
      if (isBehind) {
        say(
          'warn',
          {},
          'the store has forgotten which policies are in force: a node that could take them up must tell it',
        );
        return undefined;
      }
      log.warn({}, 'the store has forgotten which policies are in force: it is told again');
      await publishOwn('a store that was put back');
      return undefined;
    }
    if (newest.digest !== digestOf(policies.current().texts)) {
      const text = await sets?.read(tenant, newest.position);
      if (text === undefined && (await sets?.newest(tenant))?.position !== newest.position) return undefined;
      finding = newest.position;
      const given = text === undefined ? undefined : sealed.open(newest.position, newest.digest, text);
      if (given !== undefined) return given;
      seen = newest.position;
      throw notOfANode();
    }
    putInForce(newest.position);
    return undefined;
  }

  function say(level: 'warn' | 'error', fields: object, text: string): void {
    const all = JSON.stringify([text, fields]);
    if (all === told) return;
    told = all;
    log[level](fields, text);
  }

  /** @returns why what is in force by the store is not in force here */
  async function look(): Promise<unknown> {
    finding = 0;
    try {
      const newest = await sets?.newest(tenant);
      const isCurrent = newest !== undefined && newest.position === seen;
      if (!isCurrent) await policies.takeUp(find);
      if (finding > seen) putInForce(finding);
      pause.end();
      if (isCurrent || !isBehind) told = undefined;
      return undefined;
    } catch (error) {
      const { where, hint } = error instanceof RemitError ? error : {};
      const said = { error: messageOf(error), where, hint };
      if (finding === 0) {
        say('warn', said, 'it could not be read which policies are in force: those before stay');
        return error;
      }
      // What cannot be valid here stays so until somebody changes it; anything else may be better later.
      if (isRemitError(error, 'ERR_POLICY_INVALID')) {
        seen = Math.max(seen, finding);
        isBehind = true;
      } else {
        pause.lengthen();
      }
      say('error', said, 'policies that another node put in force are not in force here: those before stay');
      return error;
    }
  }

  /** One look at a time, and one more where it was asked for meanwhile. */
  let looking: Promise<void> | undefined;
  let isWanted = false;
  function lookNow(): void {
    if (!isBegun) return;
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
          'the policies folder holds what was in force before: those in force at the other nodes are taken. `remit policy export` writes those into a folder; `remit policy reload` puts this one in force at all',
        );
        // What could not be read must not leave what is known to be old in force: then there is no start. What cannot be valid here is the same as while a node runs.
        const failure = await look();
        if (failure !== undefined && !isRemitError(failure, 'ERR_POLICY_INVALID')) throw failure;
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
      isBegun = true;
      parts.closers.push(
        repeat(schedule, LOOK_MS, async () => {
          if (!pause.skips()) lookNow();
          await looking;
        }),
      );
    },
    lookNow,
  };
}
