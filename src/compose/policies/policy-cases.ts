import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { type PolicyCaseText, policyCasesSchema } from '../../config/policy-case-schema.ts';
import { keyPath, readYaml } from '../../config/read-yaml.ts';
import { RemitError } from '../../domain/errors.ts';
import type { ToolRef } from '../../domain/ids.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { describedItem } from '../connectors/described-items.ts';
import type { Estate } from '../estate.ts';

/** A case as its file and the file's defaults give it. */
export interface PolicyCase extends Omit<PolicyCaseText, 'agent' | 'tool'> {
  readonly agent: string;
  readonly tool: string;
  /** As people are shown it: `file:line`. */
  readonly at: string;
  /** The item, as the estate describes it. */
  readonly found: GovernedTool;
}

export const isPolicyFile = (name: string): boolean => name.endsWith('.cedar');

export const isCaseFile = (name: string): boolean => /\.cases\.ya?ml$/.test(name);

/** The text of a file below the policies folder. */
export interface NamedText {
  /** Below the folder. */
  readonly name: string;
  /** As people are shown it. */
  readonly path: string;
  readonly text: string;
}

/** @param names relative to the folder */
export async function readTexts(folder: string, names: readonly string[]): Promise<NamedText[]> {
  return Promise.all(
    names.map(async (name) => ({
      name,
      path: join(relative(process.cwd(), folder), name),
      text: await readFile(join(folder, name), 'utf8'),
    })),
  );
}

/**
 * Reads case files against an estate. @throws `ERR_POLICY_INVALID` with every problem as `file:line:column: path: what`
 */
export function readCases(files: readonly NamedText[], estate: Estate): PolicyCase[] {
  const problems: string[] = [];
  const cases = files.flatMap(({ path, text }) => {
    const file = readYaml(text, path, policyCasesSchema);
    if ('problems' in file) {
      problems.push(...file.problems);
      return [];
    }
    const { defaults, cases: own } = file.value;
    const names = new Set<string>();
    return own.flatMap((one, index) => {
      const whole = { ...defaults, ...one };
      const say = (key: string, what: string): void => {
        problems.push(`${file.at(['cases', index, key])}: ${keyPath(['cases', index, key])}: ${what}`);
      };
      if (names.has(one.name)) say('name', 'another case of this file has the same name');
      names.add(one.name);
      const at = file.at(['cases', index]).replace(/:\d+$/, '');
      return complete(whole, at, estate, say) ?? [];
    });
  });
  if (problems.length === 0) return cases;
  const where = /^(.*?:\d+:\d+): /.exec(problems[0] ?? '')?.[1];
  const what = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  throw new RemitError('ERR_POLICY_INVALID', `${what} in the cases of the policies\n${problems.join('\n')}`, {
    ...(where !== undefined && { where }),
    hint: 'Mend the lines named above, then run `remit policy test`. Policies whose cases cannot be run are never put in force.',
  });
}

function complete(
  whole: PolicyCaseText,
  at: string,
  estate: Estate,
  say: (key: string, what: string) => void,
): PolicyCase | undefined {
  const { agent, tool, actors = [], template } = whole;
  if (agent === undefined) say('agent', 'no agent is named, here or in the defaults');
  if (tool === undefined) say('tool', 'no tool is named, here or in the defaults');
  for (const one of agent === undefined ? actors : [agent, ...actors]) {
    if (![...estate.agents.keys()].some((known) => known === one)) say('agent', `no agent is called ${one}`);
  }
  if (template !== undefined && ![...estate.templates.keys()].some((known) => known === template))
    say('template', `no template is called ${template}`);
  const found = tool === undefined ? undefined : describedItem(estate, tool as ToolRef);
  if (tool !== undefined && found === undefined) say('tool', `${tool} has no profile; mind the spelling`);
  if (whole.approvers !== undefined && whole.expect !== 'step_up') say('approvers', 'only a step_up asks approvers');
  return agent === undefined || tool === undefined || found === undefined
    ? undefined
    : { ...whole, agent, tool, at, found };
}
