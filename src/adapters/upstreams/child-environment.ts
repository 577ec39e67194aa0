/**
 * What a connector's process inherits from the gateway: where programs are, language, time zone, certificate
 * authorities. Nothing else, because a gateway's environment holds the keys of its operator; no proxy variables either,
 * as their URLs carry passwords. Whatever more a connector needs is said in its own `environment`.
 */
const INHERITED = ['PATH', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

/** Carried by every descendant that does not wipe its environment: how left-overs are found. */
const TAG_VARIABLE = 'REMIT_INSTANCE';

export interface ChildEnvironment {
  readonly inherited: Readonly<Record<string, string | undefined>>;
  /**
   * Private to the child and removed with it. It stands in for the home folder, where tools keep credentials of their
   * user (`~/.aws`, `~/.npmrc`) that no task was granted, and for the temporary folder, which tasks must not share.
   */
  readonly folder: string;
  /** Of the connector, plus its injected credential; they win over what is inherited. */
  readonly own: Readonly<Record<string, string>>;
  /** `<instance>.<number>`; nothing may replace it. */
  readonly tag: string;
}

export function childEnvironment({ inherited, folder, own, tag }: ChildEnvironment): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = inherited[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, HOME: folder, TMPDIR: folder, ...own, [TAG_VARIABLE]: tag };
}
