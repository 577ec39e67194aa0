import { createHash } from 'node:crypto';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes, TenantId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Clock } from '../../seams/clock.ts';
import { createSealedTexts } from '../../secrets/sealed-texts.ts';
import { isPolicyFile, type NamedText } from './policy-cases.ts';
import type { GivenPolicies } from './policy-in-force.ts';

/** What a node has published does not become old. */
const FOR_EVER_MS = 100 * 365 * 86_400_000;

/** Policies as nodes give them to each other by the store, which can neither make nor move them. */
export interface SealedPolicies {
  seal(position: number, policies: GivenPolicies): string;
  /** Undefined where no node of this store has sealed it, for that position, with texts of that digest. */
  open(position: number, digest: string, text: string): GivenPolicies | undefined;
}

/** @param node whose they are that are sealed */
export function createSealedPolicies(
  parts: { readonly tenant: TenantId; readonly stateKey: Buffer; readonly clock: Clock; readonly random: RandomBytes },
  node: string | undefined,
): SealedPolicies {
  const sealed = createSealedTexts({ ...parts, purpose: 'remit policies', label: 'policies-1' });
  return {
    seal: (position, { texts, by }) =>
      sealed.seal(String(position), { by, node, files: texts.map(({ name, text }) => [name, text]) }, FOR_EVER_MS),
    open(position, digest, text) {
      const value = sealed.open(String(position), text);
      if (!isJsonObject(value) || !Array.isArray(value.files)) return undefined;
      const { by, node: whose, files } = value;
      const texts = (files as readonly [string, string][]).map(
        ([name, content]): NamedText => ({ name, path: `${name} (of ${whose})`, text: content }),
      );
      return digestOf(texts) === digest ? { by: `${by}, at node ${whose}`, texts } : undefined;
    },
  };
}

/** Of what decides, whatever the estate is that it is read against: the same for the same files at every node. */
export function digestOf(texts: readonly NamedText[]): string {
  const deciding = texts.filter(({ name }) => isPolicyFile(name)).map(({ name, text }) => [name, text]);
  return `sha256:${createHash('sha256').update(JSON.stringify(deciding)).digest('hex')}`;
}

/** What the newest set of the store is, where it does not open. */
export const notOfANode = (): RemitError =>
  new RemitError('ERR_STORE_SCHEMA', 'policies in the store were not put there by a node of it', {
    hint: 'The store was altered, or a node has another vault key. Reload the policies at a node that has the right ones.',
  });
