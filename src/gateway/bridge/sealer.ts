import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Clock } from '../../seams/clock.ts';
import { openText, SEAL_BYTES, sealBytes } from '../../secrets/seal-bytes.ts';
import type { Caller } from '../stages/authenticate.ts';

/** What a client carries for us. One kind is never taken for another. */
export type SealedKind = 'request_state' | 'cursor' | 'mcp_task' | 'parked';

/** Seals state that a client carries: unreadable, unchangeable, and of use to the principal and task that it was given to, alone (attack A17). */
export interface Sealer {
  /** Name of this node: part of what is sealed, so that another one can route or refuse. */
  readonly node: string;
  /**
   * Ends with the task, if `ttlMs` (milliseconds) does not end it before.
   * @throws `ERR_CONNECTOR_PROTOCOL` when the value is larger than a client should carry (8 KiB of JSON)
   */
  seal(kind: SealedKind, caller: Caller, value: JsonObject, ttlMs: number): string;
  /** Undefined for anything else than what `seal` gave to the same principal for the same task, still in time. */
  open(
    kind: SealedKind,
    caller: Caller,
    text: string,
  ): { readonly node: string; readonly value: JsonObject } | undefined;
}

export interface SealerOptions {
  /** 32 bytes; every node that is to open what another one sealed has the same. */
  readonly key: Buffer;
  readonly node: string;
  readonly clock: Clock;
  readonly random: RandomBytes;
}

const LARGEST_VALUE = 8 * 1024;
const PREFIX = 'r1.';
/** The value, the node's name and the time around it, in base64url. */
const LONGEST_TEXT = PREFIX.length + Math.ceil(((LARGEST_VALUE + 512 + SEAL_BYTES) * 4) / 3);
const SHORTEST_TEXT = PREFIX.length + Math.ceil(((SEAL_BYTES + 2) * 4) / 3);

/**
 * AES-256-GCM (NIST SP 800-38D) with random nonces: good for 2³² texts a key, a thousand a second for fifty days of nothing else.
 * Layout: `r1.` base64url(`iv (12) | ciphertext | tag (16)`), the plaintext being JSON `[node, expires, value]`.
 */
export function createSealer(options: SealerOptions): Sealer {
  const { key, node, clock, random } = options;
  if (key.length !== 32) throw new RemitError('ERR_INTERNAL', 'a sealing key has 32 bytes');
  if (Buffer.byteLength(node) > 256) throw new RemitError('ERR_INTERNAL', 'a node name has at most 256 bytes');
  return {
    node,
    seal(kind, caller, value, ttlMs) {
      const text = JSON.stringify(value);
      if (Buffer.byteLength(text) > LARGEST_VALUE) {
        throw new RemitError('ERR_CONNECTOR_PROTOCOL', `state of more than ${LARGEST_VALUE} bytes cannot be sealed`, {
          where: kind,
          hint: 'The connector gives clients more state to carry than the gateway lets pass.',
        });
      }
      // Nothing that a client carries is of use beyond its task.
      const expires = Math.min(clock() + ttlMs, caller.task.expiresAt);
      const whole = `[${JSON.stringify(node)},${expires},${text}]`;
      return PREFIX + sealBytes(key, boundTo(kind, caller), whole, random).toString('base64url');
    },
    open(kind, caller, text) {
      if (text.length < SHORTEST_TEXT || text.length > LONGEST_TEXT || !text.startsWith(PREFIX)) return undefined;
      const body = text.slice(PREFIX.length);
      const bytes = Buffer.from(body, 'base64url');
      // Node skips what is no base64url and ignores spare bits: exactly one text stands for each sealed value.
      if (bytes.toString('base64url') !== body) return undefined;
      const opened = openText(key, boundTo(kind, caller), bytes);
      if (opened === undefined) return undefined;
      const [from, expires, value] = JSON.parse(opened) as [string, number, unknown];
      return clock() < expires && isJsonObject(value) ? { node: from, value } : undefined;
    },
  };
}

/** Associated data: kind, tenant, user, agent and task. JSON, so that no two of them run into each other. */
function boundTo(kind: SealedKind, { principal, task }: Caller): Buffer {
  const { tenant, user, agent } = principal;
  return Buffer.from(
    JSON.stringify(['remit/sealed/1', kind, tenant, user && [user.issuer, user.subject], agent, task.id]),
  );
}
