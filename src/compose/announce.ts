import type { Auditor } from '../audit/auditor-keys.ts';
import type { Recorder } from '../audit/recorder.ts';
import { namesOf } from './auditor-files.ts';
import type { Workspace } from './workspace.ts';

/** Puts it on the trail that a gateway serves: what it is, which policies it decides by, and who may read what it seals. */
export async function recordStart(
  recorder: Recorder,
  { estate }: Workspace,
  auditors: readonly Auditor[],
  about: {
    readonly version: string;
    readonly url: string;
    readonly policyVersion: string;
    readonly containment: string;
  },
): Promise<void> {
  await recorder.record({
    type: 'gateway_started',
    detail: {
      ...about,
      environment: estate.environment,
      agents: estate.agents.size,
      connectors: estate.connectors.size,
      ...namesOf(auditors),
    },
  });
}
