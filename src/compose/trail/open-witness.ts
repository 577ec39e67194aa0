import type { Recorder } from '../../audit/recorder.ts';
import type { TrailState } from '../../audit/trail-state.ts';
import { createWitness, type Witness } from '../../audit/witness.ts';
import type { Workspace } from '../workspace.ts';
import { isSignedHead } from './store-heads.ts';

/** Undefined where the store is one gateway's alone: there is nobody to be witnessed. */
export function openWitness(workspace: Workspace, recorder: Recorder, state: TrailState): Witness | undefined {
  const { store, node, estate, config, system } = workspace;
  const repository = store.shared?.heads;
  if (repository === undefined || node === undefined) return undefined;
  const { monotonic, schedule, log } = system;
  return createWitness({
    tenant: estate.tenant,
    node,
    repository,
    recorder,
    state,
    isSigned: isSignedHead,
    everyMs: config.journal.witnessSeconds * 1000,
    monotonic,
    schedule,
    log,
  });
}
