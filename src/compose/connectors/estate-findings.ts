import { readRecords } from '../../audit/read-records.ts';
import { SECRET_NAME } from '../../config/schema-parts.ts';
import { isRemitError } from '../../domain/errors.ts';
import { STORE_WIDE } from '../../secrets/fingerprints.ts';
import { authorizationFindings } from '../credentials/authorization-findings.ts';
import { credentialFindings } from '../credentials/credential-findings.ts';
import {
  boundException,
  findSharedSecrets,
  SHARED_HINT,
  secretUsers,
  sharedText,
} from '../credentials/shared-secrets.ts';
import { staticPlace } from '../credentials/static-place.ts';
import type { EstateConnector } from '../estate.ts';
import { nodeFindings, readNodes } from '../nodes/node-findings.ts';
import { observeFindings } from '../policies/observations.ts';
import { createJournalAccess } from '../trail/journal-access.ts';
import type { Workspace } from '../workspace.ts';
import { reachFindings } from './reach.ts';
import { undescribedFindings } from './undescribed-findings.ts';

/** Something wrong with credentials, or a risk that is known and answered for until a day. */
export interface EstateFinding {
  readonly severity: 'high' | 'medium' | 'low';
  /** `legacy_credential`, `exception_ended`, `shared_secret`, …: docs/reference/cli.md lists them. */
  readonly kind: string;
  /** `connectors.crm`, `secret crm_token`. */
  readonly refs: readonly string[];
  readonly text: string;
  readonly next: string;
  readonly owner?: string;
  /** RFC 3339. */
  readonly expires?: string;
  /** What the credential opens. */
  readonly opens?: string;
  /** Calls that carried it, as far back as the trail goes. */
  readonly uses?: number;
  readonly usesSince?: string;
  readonly lastUse?: string;
}

const DAY_MS = 86_400_000;
/** Longest that an exception should be given for at a time, and that a secret should live. */
const USUAL_DAYS = 90;
const RANKS = { high: 0, medium: 1, low: 2 } as const;

/** Findings on credentials, the gravest first; nothing is changed, no gateway is needed. */
export async function estateFindings(workspace: Workspace): Promise<EstateFinding[]> {
  const found = [
    ...(await exceptionFindings(workspace)),
    ...wayFindings(workspace),
    ...(await sharedFindings(workspace)),
    ...(await secretFindings(workspace)),
    ...(await authorizationFindings(workspace)),
    ...(await keyFindings(workspace)),
    ...observeFindings(workspace),
    ...reachFindings(workspace.estate),
    ...(await undescribedFindings(workspace)),
    ...nodeFindings(await readNodes(workspace)),
  ];
  return found.sort((a, b) => RANKS[a.severity] - RANKS[b.severity]);
}

async function exceptionFindings(workspace: Workspace): Promise<EstateFinding[]> {
  const legacy = [...workspace.estate.connectors.values()].filter(({ config }) => config.credential?.static);
  if (legacy.length === 0) return [];
  const uses = await usesOf(workspace);
  const now = workspace.system.clock();
  return legacy.flatMap((connector) => {
    const credential = connector.config.credential?.static;
    if (credential === undefined) return [];
    const { owner, reason, expires, controls } = boundException(workspace.config, connector.id, credential);
    const left = Date.parse(expires) - now;
    const common = { refs: [`connectors.${connector.id}`, `secret ${staticPlace(credential)}`], owner, expires };
    const used = uses.get(connector.id);
    const pace = `${controls.callsPerMinute} calls a minute, ${controls.callsPerMinutePerTask} of one task`;
    const residual: EstateFinding = {
      ...common,
      severity: 'medium',
      kind: 'legacy_credential',
      text: `a long-lived secret that nobody can revoke, under an exception until ${expires}: ${reason}; bounded to ${pace}`,
      next: 'Replace it by a credential that can be leased.',
      opens: `${placeOf(connector)}, for ${controls.tools.join(', ')}`,
      uses: used?.count ?? 0,
      ...(used && { usesSince: used.first, lastUse: used.last }),
    };
    if (left <= 0) {
      const text = `the exception ended ${expires}: calls are refused`;
      const next = 'Renew it deliberately, or end the need for it; change the secret at its downstream.';
      return [{ ...residual, severity: 'high' as const, kind: 'exception_ended' as const, text, next }];
    }
    if (left <= USUAL_DAYS * DAY_MS) return [residual];
    const days = Math.floor(left / DAY_MS);
    return [
      residual,
      {
        ...common,
        severity: 'medium' as const,
        kind: 'exception_too_long' as const,
        text: `the exception still has ${days} days, more than ${USUAL_DAYS}: nobody will look at it for as long`,
        next: `Let it end within ${USUAL_DAYS} days, and renew it then if it must be.`,
      },
    ];
  });
}

function placeOf({ id, config: { transport } }: EstateConnector): string {
  if ('http' in transport) return transport.http.url;
  return 'sse' in transport ? transport.sse.url : `whatever ${id} reaches`;
}

interface Uses {
  readonly count: number;
  readonly first: string;
  readonly last: string;
}

/** From the trail, which is the authority on what happened. */
async function usesOf({ places }: Workspace): Promise<ReadonlyMap<string, Uses>> {
  const uses = new Map<string, Uses>();
  try {
    for await (const { type, connector, time } of readRecords(createJournalAccess(places.journal).read(0))) {
      if (type !== 'credential_used' || connector === undefined) continue;
      const known = uses.get(connector);
      uses.set(connector, { count: (known?.count ?? 0) + 1, first: known?.first ?? time, last: time });
    }
  } catch (error) {
    if (!isRemitError(error, 'ERR_NOT_FOUND')) throw error;
  }
  return uses;
}

/** How connectors get their credentials, as configured. */
function wayFindings({ estate }: Workspace): EstateFinding[] {
  return [...estate.connectors.values()].flatMap(({ id, owner, config }) =>
    credentialFindings(config).map(({ kind, severity, what, hint }) => ({
      kind,
      severity,
      refs: [`connectors.${id}`],
      owner,
      text: what,
      next: hint,
    })),
  );
}

async function sharedFindings(workspace: Workspace): Promise<EstateFinding[]> {
  return (await findSharedSecrets(workspace)).map((shared) => {
    const { secrets, users, exception } = shared;
    const refs = [
      ...secrets.map((name) => `secret ${name}`),
      ...new Set(users.map(({ connector }) => `connectors.${connector}`)),
    ];
    const common = { kind: 'shared_secret', refs, text: sharedText(shared) } as const;
    if (exception === undefined) return { ...common, severity: 'high', next: SHARED_HINT };
    const { owner, expires } = exception;
    return { ...common, severity: 'medium', owner, expires, next: 'Get a credential of its own for each.' };
  });
}

async function secretFindings(workspace: Workspace): Promise<EstateFinding[]> {
  const users = secretUsers(workspace);
  const entries = (await workspace.vault.list()).filter(({ name }) => SECRET_NAME.test(name));
  const stored = new Set(entries.map(({ name }) => name));
  const now = workspace.system.clock();
  const missing = [...users].filter(([name]) => !stored.has(name));
  return [
    ...missing.map(
      ([name, by]): EstateFinding => ({
        severity: 'high',
        kind: 'missing_secret',
        refs: [`secret ${name}`, ...by.map(({ connector }) => `connectors.${connector}`)],
        text: `${by.map(({ connector }) => connector).join(', ')} needs the secret ${name}, which is not in the vault`,
        next: `Store it: remit secret put ${name} < file`,
      }),
    ),
    ...entries.flatMap(({ name, createdAt }): EstateFinding[] => {
      const days = Math.floor((now - createdAt) / DAY_MS);
      const refs = [`secret ${name}`];
      const old = `its version is ${days} days old`;
      const rotate = `Change it at the downstream, then: remit secret rotate ${name} < file`;
      return [
        ...(days > USUAL_DAYS
          ? [{ severity: 'medium', kind: 'old_secret', refs, text: old, next: rotate } as const]
          : []),
        ...(users.has(name)
          ? []
          : [
              {
                severity: 'low',
                kind: 'unused_secret',
                refs,
                text: 'no connector uses it',
                next: `Remove it: remit secret rm ${name}`,
              } as const,
            ]),
      ];
    }),
  ];
}

async function keyFindings({ keys, store, estate }: Workspace): Promise<EstateFinding[]> {
  const counts = await store.sealedRows.countByKey([estate.tenant, STORE_WIDE]);
  const former = new Set(keys.former.map(({ keyId }) => keyId));
  return [...new Set([...former, ...counts.keys()])].flatMap((keyId): EstateFinding[] => {
    if (keyId === keys.current.keyId) return [];
    const rows = counts.get(keyId) ?? 0;
    const refs = [`key ${keyId}`];
    if (former.has(keyId)) {
      const text = `a rotation of the vault’s key is not finished: ${rows} rows are under the former one`;
      return [{ severity: 'medium', kind: 'vault_key', refs, text, next: 'Finish it: remit keys rotate-kek' }];
    }
    const text = `${rows} rows are under a key that is not configured: they cannot be opened`;
    const next = `Name ${keyId} under formerVaultKeys, then: remit keys rotate-kek`;
    return [{ severity: 'high', kind: 'vault_key', refs, text, next }];
  });
}
