import { isRefused, type Refused } from '../../domain/refusal.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';

const WITHHELD = '[withheld by Remit: a credential]';
/** Shorter pieces would match by accident. */
const LEAST_LENGTH = 8;

/** What must not come back, as it would stand inside JSON text; computed once a lease. */
const needlesOf = new WeakMap<HeldLease, readonly string[]>();

/**
 * Takes the leased credential out of a reply, should the server echo it: the agent and the model never see a downstream secret, even
 * from a careless or compromised connector (guarantee L6). Exact text only: a server that encodes it first gets it past this, as it
 * could by any other way out that it has.
 *
 * To be called before the forward: while the call is under way its lease may be revoked, and the secret is then wiped.
 */
export function withholdSecrets(
  held: HeldLease | undefined,
): (reply: UpstreamReply | Refused) => { reply: UpstreamReply | Refused; withheld: number } {
  const needles = held === undefined ? [] : (needlesOf.get(held) ?? prepare(held));
  return (reply) => {
    if (isRefused(reply)) return { reply, withheld: 0 };
    let text = 'resultText' in reply ? reply.resultText : JSON.stringify(reply.error);
    let withheld = 0;
    for (const needle of needles) {
      if (!text.includes(needle)) continue;
      withheld += 1;
      text = text.replaceAll(needle, WITHHELD);
    }
    if (withheld === 0) return { reply, withheld };
    const value = JSON.parse(text) as never;
    return { reply: 'resultText' in reply ? { result: value, resultText: text } : { error: value }, withheld };
  };
}

function prepare(held: HeldLease): readonly string[] {
  const { environment, headers } = held.injection;
  const needles = new Set<string>();
  for (const secret of [...Object.values(environment), ...Object.values(headers)]) {
    const value = secret.reveal();
    // `Bearer TOKEN` as a whole, and TOKEN alone.
    for (const part of [value, ...value.split(/\s+/)]) {
      // The name of the leased role is no secret: it is on every record.
      if (part.length >= LEAST_LENGTH && part !== held.lease.tag) needles.add(JSON.stringify(part).slice(1, -1));
    }
  }
  const prepared = [...needles].sort((a, b) => b.length - a.length);
  needlesOf.set(held, prepared);
  return prepared;
}
