import type { Authorization, AuthorizationStore } from '../../adapters/issuers/mcp-oauth/authorization.ts';
import { TAKEN_AWAY } from '../../adapters/issuers/mcp-oauth/keep-rotated.ts';
import { messageOf } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import type { Catalogue } from '../../inventory/catalogue.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import { repeat } from '../repeat.ts';
import type { Workspace } from '../workspace.ts';
import { readIfThere } from './authorization-store.ts';

/** Why leases end that were made of an authorization before. */
export const AUTHORISED_ANEW = 'authorised anew';

/** Why they end where it was ended. */
const ENDED = 'authorization ended';

/** How often it is looked whether another node has authorised, or ended an authorization. */
const FOLLOW_MS = 1_000;

/** A node that cannot tell for so long whether an authorization is still the one that it knows uses nothing that came of it. */
const UNKNOWN_MS = 5_000;

/** Where one connector's authorization is read from: names of rows in the vault. */
export interface AuthorizationPlace {
  readonly store: AuthorizationStore;
  readonly rows: readonly string[];
}

export interface FollowedAuthorizations {
  /** What is authorised now is known here, and no news: for who has just changed it, before it is acted on. */
  note(connector: ConnectorId): Promise<void>;
  stop(): void;
}

interface Seen {
  /** Versions of its rows: they rise with each refresh too. */
  rows: string | undefined;
  /** What it says of who authorised when; undefined: not known. */
  mark: string | undefined;
  /** When it was certain last, by the clock that is never set. */
  at: number;
}

const NONE = 'none';

/**
 * Among several nodes: an authorization that another has been given, or has ended, is taken up here. What is held in memory of the one before is let
 * go of, and what the connector has is listed anew. The node where it was given revokes what all had leased before; nobody tells the
 * others that theirs is revoked. One statement a look, for all connectors; a row is opened where it has changed.
 */
export async function followAuthorizations(parts: {
  readonly workspace: Pick<Workspace, 'store' | 'vault' | 'system'>;
  readonly places: ReadonlyMap<ConnectorId, AuthorizationPlace>;
  readonly leases: Pick<LeaseManager, 'dropConnector'>;
  readonly catalogue: Pick<Catalogue, 'refresh'>;
}): Promise<FollowedAuthorizations> {
  const { workspace, places, leases, catalogue } = parts;
  const { store, vault, system } = workspace;
  const { monotonic, schedule, log } = system;
  if (store.shared === undefined || places.size === 0) return { note: async () => {}, stop: () => {} };

  const seen = new Map<ConnectorId, Seen>();
  for (const connector of places.keys()) seen.set(connector, { rows: undefined, mark: undefined, at: monotonic() });
  const names = [...new Set([...places.values()].flatMap(({ rows }) => rows))];

  /** Out of memory at once; what it takes to revoke it goes on behind. */
  function letGo(connector: ConnectorId, reason: string): void {
    leases
      .dropConnector(connector, reason)
      .catch((error: unknown) =>
        log.warn({ connector, error: messageOf(error) }, 'leases of an earlier authorization are not all revoked yet'),
      );
  }

  async function follow(connector: ConnectorId, place: AuthorizationPlace, rows: string): Promise<void> {
    const known = seen.get(connector) as Seen;
    if (known.mark === undefined || known.rows !== rows) {
      const mark = markOf((await readIfThere(place.store))?.authorization);
      known.rows = rows;
      if (known.mark !== mark) takeUp(connector, known, mark);
    }
    // One that was given and taken away between two looks has left nothing to be seen but what was leased of it.
    if (isOver(known.mark)) letGo(connector, ENDED);
    known.at = monotonic();
  }

  function takeUp(connector: ConnectorId, known: Seen, mark: string): void {
    known.mark = mark;
    log.info({ connector }, 'the authorization at a connector is another than was known here');
    if (isOver(mark)) return;
    letGo(connector, AUTHORISED_ANEW);
    // The catalogue tells what is wrong where it cannot be listed.
    catalogue.refresh(connector).catch(() => undefined);
  }

  function doubt(connector: ConnectorId, known: Seen): void {
    if (monotonic() - known.at < UNKNOWN_MS) return;
    known.mark = undefined;
    letGo(connector, 'authorization not known');
  }

  async function look(): Promise<void> {
    try {
      const versions = new Map(
        (await vault.list(names)).map(({ name, version, createdAt }) => [name, `${version} ${createdAt}`]),
      );
      await Promise.all(
        [...places].map(([connector, place]) =>
          follow(connector, place, place.rows.map((name) => versions.get(name) ?? NONE).join()).catch(fail),
        ),
      );
    } catch (error) {
      fail(error);
    }
    for (const [connector, known] of seen) doubt(connector, known);
  }

  function fail(error: unknown): void {
    log.warn({ error: messageOf(error) }, 'authorizations of other nodes could not be read');
  }

  async function note(connector: ConnectorId): Promise<void> {
    const [known, place] = [seen.get(connector), places.get(connector)];
    if (known === undefined || place === undefined) return;
    // What cannot be read now is news at the next look: acted on once more rather than missed.
    await readIfThere(place.store).then((row) => {
      known.mark = markOf(row?.authorization);
      // Its rows may be those of before when they are looked at next: taken away again.
      known.rows = undefined;
    }, fail);
  }

  await Promise.all([...places.keys()].map(note));
  return { note, stop: repeat(schedule, FOLLOW_MS, look) };
}

/** The same for as long as nobody authorises anew and nobody takes it away, however often it is refreshed. */
function markOf(authorization: Authorization | undefined): string {
  if (authorization === undefined) return NONE;
  const { from, authorizedAt, ended } = authorization;
  if (ended?.reason === TAKEN_AWAY) return `${TAKEN_AWAY} ${ended.at}`;
  // One that an owner stored replaces the one before without ending what was leased of it.
  return from === undefined ? `authorized ${authorizedAt}` : 'stored';
}

/** Nobody is authorised: nothing that came of it may be used. */
const isOver = (mark: string | undefined): boolean => mark === NONE || mark?.startsWith(TAKEN_AWAY) === true;
