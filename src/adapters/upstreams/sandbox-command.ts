import { existsSync, lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { RemitError } from '../../domain/errors.ts';
import { type EgressList, egressMatcher } from './egress-list.ts';
import { EGRESS_RELAY_SCRIPT } from './egress-relay-script.ts';

/** What a connector's process may see and reach, made by bubblewrap out of nothing. */
export interface Sandbox {
  /**
   * `none`: a network of its own with nothing in it but loopback. `host`: the host's. A list: as `none`, with a proxy on that loopback that goes
   * to what is named; bubblewrap itself knows no addresses.
   */
  readonly network: 'none' | 'host' | EgressList;
  /** Absolute paths that it may read. `/` is allowed and means everything that is not hidden. */
  readonly readOnly: readonly string[];
  /** Absolute paths that it may change. */
  readonly readWrite: readonly string[];
  /** Absolute paths that it must not see, although they lie within others: the gateway's own data. */
  readonly hidden?: readonly string[] | undefined;
}

/**
 * Namespaces of its own for everything, no capabilities, a session of its own (no writing into the operator's terminal), and dead when its parent
 * is. bubblewrap sets `PR_SET_NO_NEW_PRIVS` always.
 */
export const BASE_FLAGS = ['--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'] as const;

/** The home folder and the temporary folder inside: the child's private folder, which goes with it. */
export const SANDBOX_HOME = '/tmp';

const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store', '/opt/homebrew'];
/** What programs need to know of the system. Nothing with secrets: no `/etc/shadow`, no keys. */
const ETC = [
  'alternatives',
  'ca-certificates',
  'crypto-policies',
  'gai.conf',
  'group',
  'host.conf',
  'hosts',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'mime.types',
  'nsswitch.conf',
  'passwd',
  'pki/tls',
  'pki/ca-trust',
  'protocols',
  'resolv.conf',
  'services',
  'ssl/certs',
  'ssl/openssl.cnf',
  'timezone',
].map((name) => join('/etc', name));

export interface SandboxCommand {
  /** Absolute path of bubblewrap. */
  readonly program: string;
  readonly sandbox: Sandbox;
  /** Folder in which the command runs; may be read. */
  readonly workingDirectory: string;
  /** Private to the child. */
  readonly folder: string;
  /** That the command inherits beside the first three. */
  readonly descriptors: readonly number[];
}

/** Within the private folder. */
export const EGRESS_SOCKET = '.remit-egress';

interface Mount {
  readonly at: string;
  readonly flags: readonly string[];
}

/** @throws `ERR_CONFIG_INVALID` for a path that is not absolute, or would lay open what the sandbox is to keep apart; for a destination that is none */
export function checkSandbox({ network, readOnly, readWrite, hidden = [] }: Sandbox): void {
  if (typeof network === 'object') egressMatcher(network);
  const wrong = [...readOnly, ...readWrite, ...hidden].find((path) => !isAbsolute(path) || path.includes('\0'));
  const problem =
    wrong !== undefined
      ? 'A path of a sandbox is not absolute'
      : readWrite.some((path) => relative('/', path) === '')
        ? 'A sandbox that may change everything is none'
        : undefined;
  if (problem === undefined) return;
  throw new RemitError('ERR_CONFIG_INVALID', problem, {
    where: 'transport.stdio.sandbox',
    hint: 'Name the folders that the server needs, each with its whole path.',
  });
}

/** What is put before a command to run it in the sandbox. */
export function sandboxPrefix(command: SandboxCommand): string[] {
  const { program, sandbox, workingDirectory, folder } = command;
  const isRootThere = sandbox.readOnly.some((at) => depth(at) === 0);
  const mounts = [
    ...(isRootThere ? [] : [...SYSTEM.flatMap(systemMount), ...ETC.map(readOnly)]),
    ...nodeFolders().map(readOnly),
    ...(depth(workingDirectory) === 0 ? [] : [readOnly(workingDirectory)]),
    ...sandbox.readOnly.map((at) => ({ at, flags: ['--ro-bind', at, at] })),
    { at: '/proc', flags: ['--proc', '/proc'] },
    { at: '/dev', flags: ['--dev', '/dev'] },
    { at: SANDBOX_HOME, flags: ['--bind', folder, SANDBOX_HOME] },
    ...sandbox.readWrite.map((at) => ({ at, flags: ['--bind', at, at] })),
    ...(sandbox.hidden ?? []).flatMap((at) => hide(at, sandbox, workingDirectory)),
  ];
  // What lies deeper is laid over what lies above it; in one place, the later wins.
  mounts.sort((a, b) => depth(a.at) - depth(b.at));
  return [
    program,
    ...BASE_FLAGS,
    ...(sandbox.network === 'host' ? ['--share-net'] : []),
    ...mounts.flatMap(({ flags }) => flags),
    // Made by bubblewrap in memory, to mount the rest on.
    '--remount-ro',
    '/',
    '--chdir',
    workingDirectory,
    '--',
    ...(typeof sandbox.network === 'object' ? relay(command.descriptors) : []),
  ];
}

/** What brings the command's connections to the proxy. Its memory is all that it costs: it holds bytes and parses nothing. */
function relay(descriptors: readonly number[]): string[] {
  const limits = ['--max-semi-space-size=1', '--max-old-space-size=32'];
  const socket = join(SANDBOX_HOME, EGRESS_SOCKET);
  return [
    realpathSync(process.execPath),
    ...limits,
    '-e',
    EGRESS_RELAY_SCRIPT,
    '--',
    socket,
    descriptors.join(',') || '-',
  ];
}

const depth = (path: string): number => path.split('/').filter((part) => part !== '').length;

function readOnly(at: string): Mount {
  return { at, flags: ['--ro-bind-try', at, at] };
}

/** `/bin` and its like are links into `/usr` on most systems of today. */
function systemMount(at: string): Mount[] {
  try {
    if (!lstatSync(at).isSymbolicLink()) return [readOnly(at)];
    return [{ at, flags: ['--symlink', readlinkSync(at), at] }];
  } catch {
    return [];
  }
}

/** This Node.js and its npm, as `node` and `npx` of a connector usually are the gateway's own. Never a whole home folder. */
function nodeFolders(): string[] {
  const program = realpathSync(process.execPath);
  const modules = join(dirname(dirname(program)), 'lib/node_modules');
  return existsSync(join(modules, 'npm')) ? [dirname(program), modules] : [program];
}

/** Nothing stands where something is hidden; a place that is not mounted needs no hiding, and could not be hidden. */
function hide(at: string, { readOnly, readWrite }: Sandbox, workingDirectory: string): Mount[] {
  const isWithin = [...readOnly, ...readWrite, workingDirectory].some((above) => {
    const rest = relative(above, at);
    return !rest.startsWith('..');
  });
  if (!isWithin || !existsSync(at)) return [];
  return [
    { at, flags: statSync(at).isDirectory() ? ['--tmpfs', at, '--remount-ro', at] : ['--ro-bind', '/dev/null', at] },
  ];
}
