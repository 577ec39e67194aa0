import { hash } from 'node:crypto';
import type { RandomBytes, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Clock } from '../../seams/clock.ts';
import type { CarriedValues } from '../../seams/sign-in.ts';
import type { OAuthRepository } from '../../seams/store.ts';
import { createSealedTexts } from '../../secrets/sealed-texts.ts';

/** What a browser comes back for, at whichever node of the store. */
export interface BrowserValues extends CarriedValues {
  /** Keeps a value in the store, sealed, under a name that is given to the browser alone. @returns the name */
  keep(kind: KeptKind, value: JsonObject, ms: number): Promise<string>;
  /** Undefined for what is not there, not there any more, or none of ours. @throws `ERR_STORE_*` */
  find(kind: KeptKind, name: string | undefined): Promise<JsonObject | undefined>;
  /** The same, and it is there no more: of those that ask at once, one gets it. */
  take(kind: KeptKind, name: string): Promise<JsonObject | undefined>;
  /** At every node, when it resolves. */
  forget(kind: KeptKind, name: string): Promise<void>;
}

export type KeptKind = 'approver_code' | 'approver_session';

const NAME_BYTES = 32;
const LONGEST_NAME = 64;
const LONGEST_TEXT = 2_048;
/** Rows of texts that were opened. */
const OPENED = 'approver_opened';

/**
 * Sealed under a key that comes of the store's shared one, which the vault has sealed: who can write the store and has not the vault's key makes nobody an
 * approver. A row is found by the digest of its name, so who can read the store has no name either.
 */
export function createBrowserValues(parts: {
  readonly tenant: TenantId;
  readonly repository: Pick<OAuthRepository, 'upsert' | 'find' | 'consume' | 'destroy'>;
  /** The one that all nodes have. */
  readonly stateKey: Buffer;
  readonly clock: Clock;
  readonly random: RandomBytes;
}): BrowserValues {
  const { tenant, repository, clock, random } = parts;
  const { seal, open } = createSealedTexts({ ...parts, purpose: 'remit approvers', label: 'remit/approver/1' });
  const idOf = (name: string): string => hash('sha256', JSON.stringify([tenant, name]), 'base64url');
  const seconds = (ms: number): number => Math.ceil(ms / 1_000);

  async function find(kind: KeptKind, name: string | undefined): Promise<JsonObject | undefined> {
    if (name === undefined || name.length > LONGEST_NAME) return undefined;
    const id = idOf(name);
    const row = await repository.find(kind, id, Math.floor(clock() / 1_000));
    if (row === undefined || row.consumedAt !== undefined) return undefined;
    const { sealed } = row.payload as { readonly sealed?: unknown };
    return typeof sealed === 'string' ? open(`${kind} ${id}`, sealed) : undefined;
  }

  return {
    async keep(kind, value, ms) {
      const name = Buffer.from(random(NAME_BYTES)).toString('base64url');
      const id = idOf(name);
      await repository.upsert(kind, id, { sealed: seal(`${kind} ${id}`, value, ms) }, seconds(clock() + ms));
      return name;
    },
    find,
    async take(kind, name) {
      const value = await find(kind, name);
      return value !== undefined && (await repository.consume(kind, idOf(name), seconds(clock()))) ? value : undefined;
    },
    async forget(kind, name) {
      if (name.length <= LONGEST_NAME) await repository.destroy(kind, idOf(name));
    },
    seal: (value, ms) => seal('carried', value, ms),
    open: (text) => (text.length > LONGEST_TEXT ? undefined : open('carried', text)),
    async isFirst(text, ms) {
      const id = idOf(text);
      await repository.upsert(OPENED, id, {}, seconds(clock() + ms));
      return await repository.consume(OPENED, id, seconds(clock()));
    },
  };
}
