import type { Reach } from '../compose/connectors/reach.ts';
import type { ReachChain } from '../inventory/reachable-whole.ts';
import { lineText } from './output.ts';

/** Longest list that a person reads; `--json` has all of it. */
const MOST = 40;

/** All that is reachable through a connector, for whoever is to approve it. */
export function reachText(reach: Reach): string {
  const { connector, owner, environment, zone, credential, items, templates, chains, onward, reviewed } = reach;
  return [
    `Reachable through ${connector} (owner ${owner}, ${environment}, zone ${zone}, credential ${credential}):`,
    ...part(
      items,
      'Its items',
      ({ ref, actionClass, dataClasses, trust, sink, reversible }) =>
        `${ref}: ${actionClass}${dataClasses.length > 0 ? ` of ${dataClasses.join(', ')}` : ''}, source ${trust}, sink ${sink}${reversible ? '' : ', not reversible'}`,
    ),
    notCallableText(reach),
    ...part(
      templates,
      'Who, and what else the same task may do',
      ({ template, owner: by, agents, items: own, resources, alongside }) =>
        [
          `${agents.join(', ')} by template ${template} (${by}): ${own.length} items`,
          ...(resources.length > 0 ? [`on ${resources.join(', ')}`] : []),
          ...(alongside.length > 0
            ? [`beside ${alongside.map(({ connector: other, items: its }) => `${other} (${its.length})`).join(', ')}`]
            : []),
        ].join('; '),
    ),
    ...part(chains, 'What can be chained within one task', chainText),
    ...part(
      onward,
      'Where what is read here can come to, from task to task',
      ({ connector: to, zone: at, path, templates: by }) =>
        `${to} (zone ${at}): ${path.join(' > ')} by ${by.join(', ')}`,
    ),
    `Reach ${reach.digest}: ${reviewText(reach.digest, reviewed)}`,
    'Policies, approvals and the rules of flow permit less, call by call.',
  ]
    .filter((line) => line !== undefined)
    .map(lineText)
    .join('\n');
}

function part<T>(all: readonly T[], heading: string, say: (one: T) => string): string[] {
  if (all.length === 0) return [`${heading}: nothing.`];
  const more = all.length > MOST ? [`  … and ${all.length - MOST} more: --json has all`] : [];
  return [`${heading}:`, ...all.slice(0, MOST).map((one) => `  ${say(one)}`), ...more];
}

function notCallableText({ isListed, notCallable }: Reach): string | undefined {
  if (!isListed) return 'Its server has not been listed yet: what it has besides is not known.';
  return notCallable === 0 ? undefined : `${notCallable} more items are shown by its server and not callable.`;
}

function chainText({ template, from, reads, isUntrusted, by, sink, heldBy }: ReachChain): string {
  const what = [...reads, ...(isUntrusted ? ['text that is not vouched for'] : [])].join(', ');
  const held = heldBy === undefined ? '' : ` (held by ${heldBy})`;
  return `${template}: ${what} of ${from}, then ${by}, sink ${sink}${held}`;
}

function reviewText(digest: string, reviewed: Reach['reviewed']): string {
  if (reviewed === undefined) return 'nobody has reviewed it.';
  const { by, at, reach } = reviewed;
  return reach === digest ? `reviewed by ${by} at ${at}.` : `not what ${by} reviewed at ${at}.`;
}
