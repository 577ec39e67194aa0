import type { LoadedPolicy } from './load-policies.ts';
import type { NarrowedPolicy } from './narrow-policies.ts';
import { splitPolicies } from './policy-text.ts';

/** Text of a policy file with what is suggested in place of its permits; comments and everything else as they were. */
export function rewriteFile(
  text: string,
  policies: readonly LoadedPolicy[],
  changes: ReadonlyMap<string, NarrowedPolicy>,
  note: string,
): string {
  let result = '';
  let at = 0;
  for (const [index, part] of splitPolicies(text).entries()) {
    const policy = policies[index];
    const change = policy && changes.get(policy.id);
    result += text.slice(at, part.start);
    at = part.start + part.text.length;
    if (change?.change === 'narrowed')
      result += `// ${note}: ${change.used} of ${change.granted} were used.\n${change.text}`;
    else if (change?.change === 'unused')
      result += [`${note}: nothing needed it.`, ...part.text.split('\n')]
        .map((line) => `// ${line}`.trimEnd())
        .join('\n');
    else result += part.text;
  }
  return result + text.slice(at);
}
