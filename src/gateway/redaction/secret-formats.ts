import { RE2JS } from 're2js';

/** A format in which well-known services write their secrets. */
interface SecretFormat {
  readonly name: string;
  /** One of these stands in every such secret: most texts have none of them. */
  readonly marks: readonly string[];
  /** Run by a linear-time engine: the text is a stranger's. */
  readonly pattern: RE2JS;
}

const format = (name: string, marks: readonly string[], pattern: string): SecretFormat => ({
  name,
  marks,
  pattern: RE2JS.compile(pattern),
});

const FORMATS: readonly SecretFormat[] = [
  // A key that is cut off goes to the end of its text.
  format(
    'private_key',
    ['-----BEGIN'],
    '-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)',
  ),
  format('aws_access_key', ['AKIA', 'ASIA'], '\\b(?:AKIA|ASIA)[0-9A-Z]{16}\\b'),
  format('github_token', ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'], '\\bgh[pousr]_[A-Za-z0-9]{36,255}\\b'),
  format('github_fine_grained_token', ['github_pat_'], '\\bgithub_pat_[A-Za-z0-9_]{22,255}\\b'),
  format('gitlab_token', ['glpat-'], '\\bglpat-[A-Za-z0-9_-]{20,}'),
  format('slack_token', ['xox'], '\\bxox[abeoprs]-[A-Za-z0-9-]{10,}'),
  format('google_api_key', ['AIza'], '\\bAIza[0-9A-Za-z_-]{35}'),
  format('stripe_key', ['_live_', '_test_'], '\\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}\\b'),
  format('npm_token', ['npm_'], '\\bnpm_[A-Za-z0-9]{36}\\b'),
  format('model_api_key', ['sk-'], '\\bsk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,}'),
  format('jwt', ['eyJ'], '\\beyJ[A-Za-z0-9_-]{8,}\\.eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}'),
];

/** Puts a note in place of each secret in a well-known format. @param found counts by format */
export function maskSecrets(text: string, found: Record<string, number>): string {
  let masked = text;
  for (const { name, marks, pattern } of FORMATS) {
    if (!marks.some((mark) => masked.includes(mark))) continue;
    let count = 0;
    const matcher = pattern.matcher(masked);
    while (matcher.find()) count += 1;
    if (count === 0) continue;
    found[name] = (found[name] ?? 0) + count;
    masked = pattern.matcher(masked).replaceAll(`[masked by Remit: ${name}]`);
  }
  return masked;
}
