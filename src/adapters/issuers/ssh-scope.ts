import { RemitError } from '../../domain/errors.ts';
import { ACTION_CLASSES, type ActionClass } from '../../domain/tool.ts';

/** What certificates of one action class allow. */
export interface SshClass {
  /** The one command that is run, whatever the client asks for; `{until}` in it is the end of the lease, seconds since the epoch. */
  readonly forceCommand?: string | undefined;
  /** Needed where there is no forced command. */
  readonly anyCommand: boolean;
  readonly pty: boolean;
  readonly portForwarding: boolean;
  readonly agentForwarding: boolean;
  readonly x11Forwarding: boolean;
}

export interface SshScope {
  readonly principals: readonly string[];
  readonly allowed: SshClass;
}

const MOST_PRINCIPALS = 100;
const PRINCIPAL = /^[A-Za-z0-9_][A-Za-z0-9._@:/+-]{0,63}$/;

/**
 * A resource is a principal, as servers know it (`AuthorizedPrincipalsFile`): names nobody may take for a pattern. A certificate has one forced
 * command, so classes that mean different things have no common one.
 * @throws `ERR_CREDENTIAL_ISSUE` where nothing remains to open, for classes that differ, and for what is no principal
 */
export function sshScope(
  resources: readonly string[],
  classes: readonly ActionClass[],
  allowed: Readonly<Partial<Record<ActionClass, SshClass>>>,
): SshScope {
  const opened = ACTION_CLASSES.filter((name) => classes.includes(name)).flatMap((name) => allowed[name] ?? []);
  const [first, ...others] = opened;
  if (first === undefined) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `action classes ${classes.join(', ') || '(none)'} open no login`, {
      hint: 'Say under credential.ssh.classes what certificates of a class allow. A class that is not named opens nothing.',
    });
  }
  if (others.some((other) => !isSame(first, other))) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `a certificate of ${classes.join(', ')} would need several commands`, {
      hint: 'Use mode: task_tool or call, which ask for the class of one tool; or allow the same for these classes.',
    });
  }
  if (resources.length === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task names no resource of this connector', {
      hint: 'Name its principals in the task or its template, for example web:deploy. Nothing is opened unnamed.',
    });
  }
  const principals = [...new Set(resources)];
  const unfit = principals.find((principal) => !PRINCIPAL.test(principal));
  if (unfit !== undefined) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `${JSON.stringify(unfit)} is no principal`, {
      where: unfit,
      hint: 'Write letters, digits and . _ @ : / + -, at most 64; no pattern.',
    });
  }
  if (principals.length > MOST_PRINCIPALS) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `the task names ${principals.length} principals; the most is ${MOST_PRINCIPALS}`,
    );
  }
  return { principals, allowed: first };
}

function isSame(one: SshClass, other: SshClass): boolean {
  return (
    one.forceCommand === other.forceCommand &&
    one.anyCommand === other.anyCommand &&
    permitsOf(one).join() === permitsOf(other).join()
  );
}

/** Extensions of a certificate (OpenSSH PROTOCOL.certkeys). `permit-user-rc` never: it runs what the account's owner left. */
export function permitsOf({ pty, portForwarding, agentForwarding, x11Forwarding }: SshClass): string[] {
  const permits: [boolean, string][] = [
    [x11Forwarding, 'permit-X11-forwarding'],
    [agentForwarding, 'permit-agent-forwarding'],
    [portForwarding, 'permit-port-forwarding'],
    [pty, 'permit-pty'],
  ];
  return permits.filter(([isPermitted]) => isPermitted).map(([, name]) => name);
}

/** For people: `log in as deploy for internal-sftp -R`. */
export function describeSshScope({ principals, allowed }: SshScope): string {
  const what = allowed.forceCommand === undefined ? 'any command' : allowed.forceCommand;
  const more = permitsOf(allowed).map((name) => name.slice('permit-'.length));
  return `log in as ${principals.join(', ')} for ${[what, ...more].join(', ')}`;
}
