import { createHash } from 'node:crypto';
import { isJsonObject } from '../../domain/json.ts';
import { createSealedTexts } from '../../secrets/sealed-texts.ts';
import { loadOrCreateStateKey } from '../credentials/state-key.ts';
import type { Workspace } from '../workspace.ts';
import type { NamedText } from './policy-cases.ts';
import type { GivenPolicies } from './policy-in-force.ts';

/** What a node has published does not become old. */
const FOR_EVER_MS = 100 * 365 * 86_400_000;

/** Policies as nodes give them to each other by the store, which can neither make nor move them. */
export interface SealedPolicies {
  seal(position: number, policies: GivenPolicies): string;
  /** Undefined where no node of this store has sealed it, for that position, with texts of that digest. */
  open(position: number, digest: string, text: string): GivenPolicies | undefined;
}

/** @throws `ERR_STORE_*`, `ERR_VAULT_*` */
export async function createSealedPolicies({
  store,
  node,
  vault,
  estate: { tenant },
  system: { clock, random },
}: Pick<Workspace, 'store' | 'node' | 'estate' | 'vault' | 'system'>): Promise<SealedPolicies> {
  const sealed = createSealedTexts({
    tenant,
    stateKey: await loadOrCreateStateKey({ tenant, repository: store.taskKeys, vault, random, clock }),
    purpose: 'remit policies',
    label: 'policies-1',
    clock,
    random,
  });
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
  const deciding = texts.filter(({ name }) => name.endsWith('.cedar')).map(({ name, text }) => [name, text]);
  return `sha256:${createHash('sha256').update(JSON.stringify(deciding)).digest('hex')}`;
}
