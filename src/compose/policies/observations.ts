import type { Config } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import { createObserver, type Observation, type Observer } from '../../policy/observe.ts';
import type { EstateFinding } from '../connectors/estate-findings.ts';
import type { Workspace } from '../workspace.ts';

const DAY_MS = 86_400_000;
/** Longest that policies may be only observed, or tried, at a time: nobody looks at what lasts longer. */
export const MOST_DAYS = 14;

type Observed = Pick<Workspace, 'system'> & { readonly config: Pick<Config, 'observe'> };

export interface OpenObserver {
  /** Undefined where nothing is observed. */
  readonly observer: Observer | undefined;
  /** Nobody is told of ends any more. */
  close(): void;
}

/**
 * @param onCall a call was let through
 * @param onEnd from now on denials bind again; so many calls were let through since the start
 * @throws `ERR_CONFIG_INVALID` for an observation without an end in sight
 */
export function openObserver(
  { config, system }: Observed,
  onCall: (by: Observation) => void = () => {},
  onEnd: (by: Observation, calls: number) => void = () => {},
): OpenObserver {
  const now = system.clock();
  const observations = config.observe.map((one, index): Observation => {
    const until = Date.parse(one.until);
    if (!(until <= now + MOST_DAYS * DAY_MS)) {
      throw new RemitError(
        'ERR_CONFIG_INVALID',
        `policies are only observed until ${one.until}: at most ${MOST_DAYS} days`,
        {
          where: `observe.${index}.until`,
          hint: 'Let it end sooner, and renew it then if it must be.',
        },
      );
    }
    return { ...nameOf(one), until };
  });
  const calls = new Map<Observation, number>();
  const cancels = observations
    .filter(({ until }) => until > now)
    .map((one) => system.schedule(one.until - now, () => onEnd(one, calls.get(one) ?? 0)));
  const observer = createObserver(observations, system.clock, (by) => {
    calls.set(by, (calls.get(by) ?? 0) + 1);
    onCall(by);
  });
  return {
    observer,
    close() {
      for (const cancel of cancels.splice(0)) cancel();
    },
  };
}

function nameOf({ agent, template, connector }: Observed['config']['observe'][number]): Pick<Observation, 'of' | 'id'> {
  if (agent !== undefined) return { of: 'agent', id: agent };
  return template !== undefined ? { of: 'template', id: template } : { of: 'connector', id: connector ?? '' };
}

/** Whose denials do not bind now, and what is left of former times. */
export function observeFindings({ config, system }: Observed): EstateFinding[] {
  return config.observe.map((one): EstateFinding => {
    const { of, id } = nameOf(one);
    const common = { refs: [`${of}s.${id}`], owner: one.owner, expires: one.until };
    if (Date.parse(one.until) <= system.clock()) {
      const text = `policies of the ${of} ${id} were only observed until ${one.until}: they bind again`;
      return { ...common, severity: 'low', kind: 'observation_ended', text, next: 'Take it out of `observe`.' };
    }
    const text = `what policies deny the ${of} ${id} is let through until ${one.until}: ${one.reason}`;
    const next =
      'See what would be denied (`remit audit tail --type decision`, `wouldDeny`), mend the policies, and take it out of `observe`.';
    return { ...common, severity: 'high', kind: 'only_observed', text, next };
  });
}
