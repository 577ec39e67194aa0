import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';

/** In order: each includes those before. */
const LEVELS = ['read', 'write', 'admin'] as const;
export type GithubLevel = (typeof LEVELS)[number];
export type GithubPermissions = Readonly<Record<string, GithubLevel>>;

/** What a token of an installation is narrowed to. */
export interface GithubScope {
  readonly permissions: GithubPermissions;
  /** Names without their owner; undefined: all that the app is installed on. */
  readonly repositories: readonly string[] | undefined;
}

/** As the app's owner configured it. */
export interface GithubScopeMap {
  /** The user or organisation that the app is installed for: `repositories` are names of its repositories and no other's. */
  readonly account: string;
  /** A class that is not named opens nothing. */
  readonly permissions: Readonly<Partial<Record<ActionClass, GithubPermissions>>>;
}

/** What GitHub takes in one request. */
const MOST_REPOSITORIES = 500;
/** Every token of an installation has it; with nothing else, names and little more can be read. */
const LISTING: GithubScope = { permissions: { metadata: 'read' }, repositories: undefined };

/**
 * Repositories of a task's resources (`owner/name`, `owner/name/*`, `owner/*`) and permissions of its classes. GitHub narrows to whole repositories
 * of one account, so a resource that is less, or somebody else's, is refused rather than widened.
 * @throws `ERR_CREDENTIAL_ISSUE`
 */
export function githubScope(
  map: GithubScopeMap,
  resources: readonly string[],
  classes: readonly ActionClass[],
): GithubScope {
  if (classes.length === 0 && resources.length === 0) return LISTING;
  const permissions = classes.reduce((sum, name) => join(sum, map.permissions[name] ?? {}), {} as GithubPermissions);
  if (Object.keys(permissions).length === 0) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `action classes ${classes.join(', ') || '(none)'} come to no permission`,
      {
        hint: 'Name the permissions of the class in credential.githubApp.permissions, or take the class out of the task.',
      },
    );
  }
  return { permissions, repositories: repositoriesOf(map.account, resources) };
}

function join(some: GithubPermissions, more: GithubPermissions): GithubPermissions {
  const all = { ...some };
  for (const [name, level] of Object.entries(more)) if (!isWithin(level, all[name])) all[name] = level;
  return all;
}

/** Whether a level is no more than another. */
const isWithin = (level: GithubLevel, most: GithubLevel | undefined): boolean =>
  most !== undefined && LEVELS.indexOf(level) <= LEVELS.indexOf(most);

function repositoriesOf(account: string, resources: readonly string[]): readonly string[] | undefined {
  const names = new Set<string>();
  let isAll = false;
  for (const resource of resources) {
    const [owner = '', name = '', ...rest] = resource.split('/');
    if (owner.toLowerCase() !== account.toLowerCase()) {
      throw unfit(resource, `the app is installed for ${account}`, `Name repositories of it: ${account}/name.`);
    }
    if (name === '*' && rest.length === 0) isAll = true;
    else if (/^[A-Za-z0-9._-]{1,100}$/.test(name) && (rest.length === 0 || (rest.length === 1 && rest[0] === '*'))) {
      names.add(name.toLowerCase());
    } else {
      throw unfit(
        resource,
        'GitHub narrows a token to whole repositories, by name',
        `Name a repository (${account}/name), what is in it (${account}/name/*), or all of them (${account}/*).`,
      );
    }
  }
  if (isAll) return undefined;
  if (names.size === 0 || names.size > MOST_REPOSITORIES) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `the task names ${names.size} repositories`, {
      hint: `A token is for 1 to ${MOST_REPOSITORIES} of them; without one named it would be for all.`,
    });
  }
  return [...names].toSorted();
}

function unfit(resource: string, why: string, hint: string): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', `no token is for ${JSON.stringify(resource.slice(0, 200))}: ${why}`, {
    hint,
  });
}

/** What of a grant was not asked for; empty where nothing. `metadata: read` comes with every token. */
export function beyond(
  asked: GithubScope,
  given: { permissions: unknown; repositories: unknown; selection: unknown },
): string[] {
  const more: string[] = [];
  const { permissions, repositories, selection } = given;
  if (typeof permissions !== 'object' || permissions === null) more.push('it does not say which permissions it has');
  for (const [name, level] of Object.entries(permissions ?? {})) {
    const most = name === 'metadata' ? (asked.permissions.metadata ?? 'read') : asked.permissions[name];
    if (!LEVELS.includes(level as GithubLevel) || !isWithin(level as GithubLevel, most)) {
      more.push(`the permission ${JSON.stringify(name)}: ${JSON.stringify(level)} was not asked for`);
    }
  }
  const wanted = asked.repositories;
  if (wanted === undefined) return more;
  if (selection !== 'selected' || !Array.isArray(repositories)) return [...more, 'it is for all repositories'];
  for (const one of repositories as readonly { name?: unknown }[]) {
    const name = String(one?.name).toLowerCase();
    if (!wanted.includes(name)) more.push(`the repository ${JSON.stringify(name)} was not asked for`);
  }
  return more;
}

/** For people: `contents:read issues:write on shop/api, shop/web`. */
export function describeGithubScope({ permissions, repositories }: GithubScope, account: string): string {
  const rights = Object.entries(permissions).map(([name, level]) => `${name}:${level}`);
  const where = repositories?.map((name) => `${account}/${name}`).join(', ') ?? `all of ${account} that the app is on`;
  return `${rights.toSorted().join(' ')} on ${where}`;
}
