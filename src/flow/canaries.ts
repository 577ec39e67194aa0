import type { Canary } from '../domain/canary.ts';
import type { JsonObject } from '../domain/json.ts';
import { spellingsOf } from './spellings.ts';
import { textsOf } from './texts-of.ts';
import { type Printer, PrintSet } from './value-prints.ts';

export interface Canaries {
  /** How many there are: with none, nothing has to be looked through. */
  readonly size: number;
  /** The canary that arguments hold, whole or in pieces that follow one another. */
  find(args: JsonObject): Pick<Canary, 'id' | 'zone'> | undefined;
  /** Those that there are from now on. */
  replace(canaries: readonly Canary[]): void;
}

export function createCanaries(printer: Printer, canaries: readonly Canary[]): Canaries {
  let set = setOf(canaries);
  return {
    get size() {
      return set.size;
    },
    find: (args) => set.find(spellingsOf(textsOf(args).join('')), printer),
    replace(others) {
      set = setOf(others);
    },
  };
}

function setOf(canaries: readonly Canary[]): PrintSet<Canary> {
  const set = new PrintSet<Canary>();
  for (const canary of canaries) set.add(canary.print, canary);
  return set;
}
