import { isRefused, type Refused, refuse } from '../../domain/refusal.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';

const WITHHELD = '[withheld by Remit: a credential]';
/** Shorter pieces would match by accident. */
const LEAST_LENGTH = 8;

/** A piece of the credential, and how it stands inside JSON text that we write. */
interface Needle {
  readonly value: string;
  readonly inJson: string;
}

/** What must not come back; computed once a lease. */
const needlesOf = new WeakMap<HeldLease, readonly Needle[]>();

/** Escapes that JSON allows and we never write: a value behind one is not found in the text as it came. */
const UNUSUAL_ESCAPE = /\\[u/]/;

const UNREADABLE = refuse({
  kind: 'unavailable',
  code: 'ERR_CONNECTOR_PROTOCOL',
  reason: 'the connector replied with what cannot be passed on',
  nextStep: 'The call may have had its effect: check before calling again.',
});

/**
 * Takes the leased credential out of a reply, should the server echo it: the agent and the model never see a downstream secret, even
 * from a careless or compromised connector (guarantee L6). Only as it is, however JSON spells it: a server that encodes it first gets it
 * past this, as it could by any other way out that it has. Never throws: the call is over, and must get its outcome.
 *
 * To be called before the forward: while the call is under way its lease may be revoked, and the secret is then wiped.
 */
export function withholdSecrets(
  held: HeldLease | undefined,
): (reply: UpstreamReply | Refused) => { reply: UpstreamReply | Refused; withheld: number } {
  const needles = held === undefined ? [] : (needlesOf.get(held) ?? prepare(held));
  return (reply) => {
    if (isRefused(reply) || needles.length === 0) return { reply, withheld: 0 };
    try {
      return takeOut(reply, needles);
    } catch {
      // Nested deeper than can be written out again, so it cannot be searched either.
      return { reply: UNREADABLE, withheld: 0 };
    }
  };
}

function takeOut(reply: UpstreamReply, needles: readonly Needle[]): { reply: UpstreamReply; withheld: number } {
  const value = 'resultText' in reply ? reply.result : reply.error;
  const isAsWeWrite = 'resultText' in reply && !UNUSUAL_ESCAPE.test(reply.resultText);
  const text = isAsWeWrite ? reply.resultText : JSON.stringify(value);
  const found = needles.filter(({ inJson }) => text.includes(inJson));
  if (found.length === 0) return { reply, withheld: 0 };
  // In the value and not in its text, where a match may begin in the middle of an escape.
  const clean = cleaned(value, found) as never;
  return {
    reply: 'resultText' in reply ? { result: clean, resultText: JSON.stringify(clean) } : { error: clean },
    withheld: found.length,
  };
}

function cleaned(value: unknown, needles: readonly Needle[]): unknown {
  if (typeof value === 'string')
    return needles.reduce((rest, needle) => rest.replaceAll(needle.value, WITHHELD), value);
  if (Array.isArray(value)) return value.map((item) => cleaned(item, needles));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [cleaned(name, needles) as string, cleaned(member, needles)]),
  );
}

function prepare(held: HeldLease): readonly Needle[] {
  const { environment, headers } = held.injection;
  const values = new Set<string>();
  for (const secret of [...Object.values(environment), ...Object.values(headers)]) {
    const value = secret.reveal();
    // `Bearer TOKEN` as a whole, and TOKEN alone.
    for (const part of [value, ...value.split(/\s+/)]) {
      // The name of the leased role is no secret: it is on every record.
      if (part.length >= LEAST_LENGTH && part !== held.lease.tag) values.add(part);
    }
  }
  const prepared = [...values]
    .sort((a, b) => b.length - a.length)
    .map((value) => ({ value, inJson: JSON.stringify(value).slice(1, -1) }));
  needlesOf.set(held, prepared);
  return prepared;
}
