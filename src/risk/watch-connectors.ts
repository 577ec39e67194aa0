import type { ConnectorId } from '../domain/ids.ts';
import type { SignalKind } from '../domain/risk.ts';
import type { Clock } from '../seams/clock.ts';
import type { Risk } from './create-risk.ts';
import type { History } from './history.ts';

/** An item of a connector as it was listed last. */
export interface ListedItem {
  readonly ref: string;
  readonly fingerprint: string;
  /** Not as its owner approved it. */
  readonly isChanged: boolean;
  /** What is wrong with its definition, whoever approved it: `hidden_characters`. */
  readonly flags: readonly string[];
}

/** A connector is looked at anew with every listing (R89): each definition that drifts, or hides something, is a signal, once. */
export function watchConnectors(parts: {
  readonly risk: Pick<Risk, 'signal'>;
  readonly history: History;
  readonly clock: Clock;
}): (connector: ConnectorId, items: readonly ListedItem[]) => void {
  const { risk, history, clock } = parts;

  function tell(kind: SignalKind, connector: ConnectorId, { ref, fingerprint }: ListedItem, what: string): void {
    const past = history.of(`connector ${connector}`, clock());
    const value = `${kind} ${ref} ${fingerprint}`;
    if (past.has('definition', value)) return;
    // Told first: a crash in between tells it twice, and never not at all.
    risk.signal({
      kind,
      what,
      subjects: [{ kind: 'connector', id: connector }],
      identity: { connector },
      cause: value,
    });
    past.add('definition', value, clock());
  }

  return (connector, items) => {
    for (const item of items) {
      if (item.isChanged) tell('definition_changed', connector, item, `${item.ref} is not as its owner approved it`);
      if (item.flags.length > 0) {
        tell('suspect_definition', connector, item, `the definition of ${item.ref}: ${item.flags.join(', ')}`);
      }
    }
  };
}
