import type { Auditor } from '../audit/auditor-keys.ts';
import type { Recorder } from '../audit/recorder.ts';
import { namesOf } from './auditor-files.ts';
import type { ReadyPolicies } from './policy-in-force.ts';
import type { Workspace } from './workspace.ts';

/** Puts it on the trail that a gateway serves: what it is, which policies it decides by, and who may read what it seals. */
export async function recordStart(
  recorder: Recorder,
  { estate }: Workspace,
  auditors: readonly Auditor[],
  {
    policies,
    ...about
  }: {
    readonly version: string;
    readonly url: string;
    readonly containment: string;
    readonly policies: ReadyPolicies;
  },
): Promise<void> {
  await recorder.record({
    type: 'gateway_started',
    detail: {
      ...about,
      environment: estate.environment,
      policyVersion: policies.engine.version,
      policyFiles: policies.files,
      agents: estate.agents.size,
      connectors: estate.connectors.size,
      ...namesOf(auditors),
    },
  });
}
