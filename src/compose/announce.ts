import type { Auditor } from '../audit/auditor-keys.ts';
import type { Recorder } from '../audit/recorder.ts';
import { type Standing, subjectText } from '../domain/revocation.ts';
import type { ReadyPolicies } from './policies/ready-policies.ts';
import { namesOf } from './trail/auditor-files.ts';
import type { Workspace } from './workspace.ts';

/** Puts it on the trail that a gateway serves: what it is, which policies it decides by, who may read what it seals, and what is held back. */
export async function recordStart(
  recorder: Recorder,
  { estate, config }: Workspace,
  auditors: readonly Auditor[],
  standing: Standing,
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
      ...(config.observe.length > 0 && { observing: config.observe }),
      agents: estate.agents.size,
      connectors: estate.connectors.size,
      ...namesOf(auditors),
      revocations: standing.position,
      ...heldBack(standing),
    },
  });
}

const MOST_HELD = 100;

/** What was ordered before holds here from the start; of an order that no trail could be told of, this is where it says who and why. */
function heldBack(standing: Standing): object {
  const held = [...standing.held()].sort((a, b) => b.position - a.position);
  if (held.length === 0) return {};
  const newest = held.slice(0, MOST_HELD).map(({ position, action, subject, by, reason }) => {
    return { position, action, subject: subjectText(subject), by, reason };
  });
  return { held: newest, ...(held.length > MOST_HELD && { heldInAll: held.length }) };
}
