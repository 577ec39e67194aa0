import { isAsGood, type Origin, type ValueProvenance } from '../domain/flow.ts';

/** The least good origin of each argument, for policies: `recipients` for `recipients[0]` and `recipients[1]`. */
export function originsOf(provenance: readonly ValueProvenance[]): Readonly<Record<string, Origin>> {
  const worst = new Map<string, Origin>();
  for (const { name, origin } of provenance) {
    const known = worst.get(name);
    if (known === undefined || !isAsGood(origin, known)) worst.set(name, origin);
  }
  return Object.fromEntries(worst);
}
