import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { messageOf, RemitError } from '../domain/errors.ts';
import { type Config, type ConnectorConfig, configSchema, type VaultKeyConfig } from './schema.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** Absolute path of the file; relative paths inside it start from its folder. */
  readonly path: string;
  /** Resolves a path of the configuration against the file's folder. */
  readonly resolvePath: (relative: string) => string;
}

/**
 * Reads and validates `remit.yaml`.
 * @throws `ERR_CONFIG_MISSING`, or `ERR_CONFIG_INVALID` naming every problem as `file:line:column: path: what`
 */
export async function loadConfig(file: string): Promise<LoadedConfig> {
  const path = resolve(file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new RemitError('ERR_CONFIG_MISSING', `cannot read the configuration ${path}`, {
      where: path,
      hint: 'Run `remit init` to write one, or name it with --config.',
      cause,
    });
  }
  const folder = dirname(path);
  return { config: parseConfig(text, path), path, resolvePath: (relative) => resolve(folder, relative) };
}

/** Validates the text of a configuration; `path` is for messages only. */
export function parseConfig(text: string, path: string): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => `${at(error.pos[0])}: ${error.message.split('\n')[0]}`);
    throw invalid(problems, path);
  }
  const parsed = configSchema.safeParse(toValues(document, path));
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) =>
      describeIssue(issue, (keys) => at(offsetOf(document, keys))),
    );
    throw invalid(problems, path);
  }
  const problems = crossReferenceProblems(parsed.data, (keys) => at(offsetOf(document, keys)));
  if (problems.length > 0) throw invalid(problems, path);
  return parsed.data;
}

/** An alias to nothing, or aliases that multiply beyond measure, show themselves only here. */
function toValues(document: Document, path: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw invalid([`${path}: ${messageOf(error)}`], path);
  }
}

function invalid(problems: string[], path: string): RemitError {
  return new RemitError(
    'ERR_CONFIG_INVALID',
    `the configuration is not valid:\n${problems.map((p) => `  ${p}`).join('\n')}`,
    {
      where: path,
      hint: 'Mend the lines named above; an editor that reads the yaml-language-server header shows the allowed keys.',
    },
  );
}

type Position = (keys: readonly PropertyKey[]) => string;

function describeIssue(issue: z.core.$ZodIssue, position: Position): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${position([...issue.path, key])}: ${name([...issue.path, key])}: unknown key`);
  }
  if (issue.code === 'invalid_union') {
    // The branch that got furthest says most; the others only say that they are other branches.
    const [furthest = []] = [...issue.errors].sort((a, b) => shallowest(b) - shallowest(a));
    if (furthest.length > 0 && shallowest(furthest) > 1) {
      return furthest.flatMap((inner) => describeIssue({ ...inner, path: [...issue.path, ...inner.path] }, position));
    }
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map((inner) => `${position(issue.path)}: ${name(issue.path)}: ${inner.message}`);
  }
  return [`${position(issue.path)}: ${name(issue.path)}: ${issue.message}`];
}

/** How deep below a union its first problem lies: 1 where the branch's own keys are not those of the value. */
function shallowest(branch: readonly z.core.$ZodIssue[]): number {
  return Math.min(...branch.map(({ code, path }) => path.length + (code === 'unrecognized_keys' ? 1 : 0)));
}

const name = (keys: readonly PropertyKey[]): string =>
  keys.length === 0 ? '(whole file)' : keys.map(String).join('.');

/** Where a key path stands in the file: at the key, or at the item of a list; at the nearest parent that exists when it is absent. */
function offsetOf(document: Document, keys: readonly PropertyKey[]): number {
  for (let length = keys.length; length > 0; length--) {
    const last = keys[length - 1];
    const parent = length === 1 ? document.contents : document.getIn(keys.slice(0, length - 1), true);
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => (isScalar(key) ? String(key.value) : key) === last)
      : undefined;
    const node = pair?.key ?? document.getIn(keys.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

/** References between parts of the file that a schema cannot express. */
function crossReferenceProblems(config: Config, position: Position): string[] {
  const problems: string[] = [];
  const say = (keys: readonly PropertyKey[], what: string): void => {
    problems.push(`${position(keys)}: ${name(keys)}: ${what}`);
  };
  const keyIds = [config.vaultKey, ...config.formerVaultKeys].map(vaultKeyId);
  config.formerVaultKeys.forEach((key, index) => {
    if (keyIds.indexOf(vaultKeyId(key)) <= index)
      say(['formerVaultKeys', index], `another vault key is called ${vaultKeyId(key)} too`);
  });
  config.sharedSecrets.forEach(({ connectors }, index) => {
    connectors.forEach((connector, at) => {
      if (own(config.connectors, connector) === undefined)
        say(['sharedSecrets', index, 'connectors', at], `no connector is called ${connector}`);
    });
  });
  for (const [id, template] of Object.entries(config.templates)) {
    template.agents.forEach((agent, index) => {
      if (!Object.hasOwn(config.agents, agent)) say(['templates', id, 'agents', index], `no agent is called ${agent}`);
    });
    template.tools.forEach((pattern, index) => {
      const slash = pattern.indexOf('/');
      const connector = own(config.connectors, pattern.slice(0, slash));
      const tool = pattern.slice(slash + 1);
      if (!connector) say(['templates', id, 'tools', index], `no connector is called ${pattern.slice(0, slash)}`);
      else if (isBeyondException(connector, tool)) {
        say(
          ['templates', id, 'tools', index],
          `${pattern}: ${pattern.slice(0, slash)} has a long-lived secret; name one by one the tools of its exception.controls.tools`,
        );
      } else if (tool !== '*' && !isDescribed(connector, tool)) {
        say(['templates', id, 'tools', index], `${pattern} has no profile; run \`remit tool describe ${pattern}\``);
      }
    });
    template.resources.forEach((resource, index) => {
      const connector = resource.slice(0, resource.indexOf(':'));
      if (!Object.hasOwn(config.connectors, connector))
        say(['templates', id, 'resources', index], `no connector is called ${connector}`);
    });
  }
  return problems;
}

/** As the key's provider calls it. */
export function vaultKeyId(key: VaultKeyConfig): string {
  if (key.kind === 'file') return `file:${key.name}`;
  return key.kind === 'environment' ? `environment:${key.variable}` : `keyring:${key.service}/${key.account}`;
}

/** A long-lived shared secret is for a narrow, explicit list: no wildcard, and nothing that its exception does not name. */
function isBeyondException({ credential }: ConnectorConfig, tool: string): boolean {
  const controls = credential?.static?.exception.controls;
  return controls !== undefined && !controls.tools.includes(tool);
}

/** Whether a profile stands behind what follows the connector in a ref. */
function isDescribed({ tools, resources, prompts }: ConnectorConfig, name: string): boolean {
  if (name.startsWith('resource:')) return Object.hasOwn(resources, name.slice('resource:'.length));
  if (name.startsWith('prompt:')) return Object.hasOwn(prompts, name.slice('prompt:'.length));
  return Object.hasOwn(tools, name);
}

/** A member that the file wrote, not one that every object inherits. */
function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
