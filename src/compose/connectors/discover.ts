import type { ConnectorId } from '../../domain/ids.ts';
import type { Catalogue } from '../../inventory/catalogue.ts';
import type { Workspace } from '../workspace.ts';

const WAIT_MS = 15_000;

/**
 * Lists every connector, side by side. Only those never seen before are waited for, and not for long: what earlier runs saw of the
 * others serves meanwhile, and one that hangs or fails is reported and holds up nobody.
 * @param onKnown told of each, whether it was listed anew or not
 */
export async function discoverAll(
  { estate, system }: Workspace,
  catalogue: Catalogue,
  onKnown: (connector: ConnectorId) => void,
): Promise<void> {
  const known = [...catalogue.tools(), ...catalogue.prompts(), ...catalogue.templates()];
  const seen = new Set(known.map(({ connector }) => connector));
  const unseen: Promise<unknown>[] = [];
  for (const connector of estate.connectors.keys()) {
    const listing = catalogue.refresh(connector).catch(() => undefined);
    if (!seen.has(connector)) unseen.push(listing);
  }
  let cancel = (): void => {};
  const timeout = new Promise<void>((resolve) => {
    cancel = system.schedule(WAIT_MS, resolve);
  });
  await Promise.race([Promise.all(unseen), timeout]);
  cancel();
  for (const connector of estate.connectors.keys()) onKnown(connector);
}
