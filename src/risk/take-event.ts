import type { JsonObject } from '../domain/json.ts';
import type { RiskSubject } from '../domain/risk.ts';
import type { SecurityEvent } from '../seams/security-events.ts';
import type { Risk } from './create-risk.ts';

/** What a transmitter may say, and of whom. */
export interface TransmitterRights {
  /** Points by event type; another one is taken, and does nothing. */
  readonly events: ReadonlyMap<string, number>;
  /** Issuers of whose users it may speak. */
  readonly usersOf: readonly string[];
  /** Agents and connectors of which it may speak. */
  readonly agents: readonly string[];
  readonly connectors: readonly string[];
}

/** A verified event moves the risk of those of ours whom it names. Each is taken once. */
export interface EventTaker {
  /** Resolves when it is on the trail. @returns how many subjects it moved; 0 of one that was taken before */
  take(event: SecurityEvent): Promise<number>;
}

/** Ids that are remembered (guarantee I3). One that comes again after all can only raise a risk. */
const MOST_KNOWN = 10_000;
const MOST_IDENTIFIERS = 16;

export function createEventTaker(parts: {
  readonly risk: Pick<Risk, 'signalDurably'>;
  readonly rights: ReadonlyMap<string, TransmitterRights>;
}): EventTaker {
  const { risk, rights } = parts;
  const taken = new Set<string>();

  return {
    async take(event) {
      const of = rights.get(event.transmitter);
      const key = `${event.transmitter} ${event.jti}`;
      if (of === undefined || taken.has(key)) return 0;
      // Before anything is waited for: the same event, sent twice at once, counts once.
      taken.add(key);
      const [oldest] = taken;
      if (taken.size > MOST_KNOWN && oldest !== undefined) taken.delete(oldest);
      let moved = 0;
      try {
        for (const [type, payload] of Object.entries(event.events)) {
          const points = of.events.get(type) ?? 0;
          const subjects = points > 0 ? subjectsOf(event.subject ?? payload.subject, of) : [];
          if (subjects.length === 0) continue;
          moved += subjects.length;
          const what = `${event.transmitter}: ${type}`;
          await risk.signalDurably({ kind: 'external', what, subjects, points, cause: `${key} ${type}` });
        }
      } catch (error) {
        // It is sent again, and must count then.
        taken.delete(key);
        throw error;
      }
      return moved;
    },
  };
}

/**
 * Those of ours whom a subject identifier (RFC 9493) names: `iss_sub` a user; `opaque` with `agent scribe` or `connector crm` one of those; the
 * user of a complex subject; each of `aliases`. A transmitter speaks of nobody but those whom the configuration lets it speak of.
 */
function subjectsOf(identifier: unknown, rights: TransmitterRights): readonly RiskSubject[] {
  if (typeof identifier !== 'object' || identifier === null) return [];
  const { format, iss, sub, id, user, identifiers } = identifier as JsonObject;
  if (format === 'aliases' && Array.isArray(identifiers)) {
    return unique(identifiers.slice(0, MOST_IDENTIFIERS).flatMap((one) => simpleSubject(one as JsonObject, rights)));
  }
  if (format === 'complex' || (format === undefined && user !== undefined)) {
    return typeof user === 'object' && user !== null ? simpleSubject(user as JsonObject, rights) : [];
  }
  return simpleSubject({ format, iss, sub, id }, rights);
}

function simpleSubject(identifier: JsonObject | null, rights: TransmitterRights): readonly RiskSubject[] {
  const { format, iss, sub, id } = identifier ?? {};
  if (format === 'iss_sub' && typeof iss === 'string' && typeof sub === 'string') {
    return rights.usersOf.includes(iss) ? [{ kind: 'user', id: `${iss}#${sub}` }] : [];
  }
  if (format !== 'opaque' || typeof id !== 'string') return [];
  const [kind, name = ''] = id.split(' ', 2);
  if (kind === 'agent' && rights.agents.includes(name)) return [{ kind: 'agent', id: name }];
  return kind === 'connector' && rights.connectors.includes(name) ? [{ kind: 'connector', id: name }] : [];
}

const unique = (subjects: readonly RiskSubject[]): readonly RiskSubject[] =>
  subjects.filter(({ kind, id }, at) => subjects.findIndex((one) => one.kind === kind && one.id === id) === at);
