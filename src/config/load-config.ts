import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RemitError } from '../domain/errors.ts';
import { keyPath, readYaml } from './read-yaml.ts';
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
  const file = readYaml(text, path, configSchema);
  if ('problems' in file) throw invalid(file.problems, path);
  const problems = crossReferenceProblems(file.value, file.at);
  if (problems.length > 0) throw invalid(problems, path);
  return file.value;
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

/** References between parts of the file that a schema cannot express. */
function crossReferenceProblems(config: Config, position: (keys: readonly PropertyKey[]) => string): string[] {
  const problems: string[] = [];
  const say = (keys: readonly PropertyKey[], what: string): void => {
    problems.push(`${position(keys)}: ${keyPath(keys)}: ${what}`);
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
  problems.push(...observeProblems(config).map(([keys, what]) => `${position(keys)}: ${keyPath(keys)}: ${what}`));
  return problems;
}

/** Where others depend on what policies say, no denial is looked past. */
function observeProblems({ observe, environment, strictness, agents, connectors, templates }: Config) {
  const isStrict = strictness === 'production' || strictness === 'regulated' || /^prod(uction)?$/i.test(environment);
  return observe.flatMap(({ agent, template, connector }, index): [readonly PropertyKey[], string][] => {
    const at = ['observe', index];
    if (isStrict)
      return [[at, 'nothing is only observed in production or where strictness is production or regulated']];
    if (agent !== undefined && !Object.hasOwn(agents, agent)) return [[at, `no agent is called ${agent}`]];
    if (template !== undefined && !Object.hasOwn(templates, template))
      return [[at, `no template is called ${template}`]];
    if (connector !== undefined && !Object.hasOwn(connectors, connector))
      return [[at, `no connector is called ${connector}`]];
    return [];
  });
}

/** As the key's provider calls it. */
export function vaultKeyId(key: VaultKeyConfig): string {
  switch (key.kind) {
    case 'file':
      return `file:${key.name}`;
    case 'environment':
      return `environment:${key.variable}`;
    case 'keyring':
      return `keyring:${key.service}/${key.account}`;
    case 'awsKms':
      return `awskms:${key.key}`;
    case 'gcpKms':
      return `gcpkms:${key.key}`;
    case 'transit':
      return `transit:${transitPlace(key)}`;
  }
}

/** As the provider names it. */
function transitPlace({ address, namespace, mount, key }: Extract<VaultKeyConfig, { kind: 'transit' }>): string {
  const server = address.replace(/\/+$/, '');
  return `${server}${namespace === undefined ? '' : ` (${namespace})`}/${mount}/${key}`;
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
