import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { RemitError, settleStack } from '../../src/domain/errors.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A connection, say, with a credential in its headers. */
class Holder {
  readonly secret = 'hidden';
  fail(): RemitError {
    return new RemitError('ERR_CONNECTOR_UNREACHABLE', 'it failed', { cause: new Error(`no ${this.secret.length}`) });
  }
}

function failOnce(): { error: RemitError; holder: WeakRef<Holder> } {
  const holder = new Holder();
  return { error: holder.fail(), holder: new WeakRef(holder) };
}

async function isCollected(of: WeakRef<Holder>): Promise<boolean> {
  // A WeakRef holds its target until the end of the turn.
  await new Promise((next) => setImmediate(next));
  collect();
  return of.deref() === undefined;
}

it('L6 an error that is kept does not keep what it was thrown from, once its stack is settled', async () => {
  const kept = failOnce();
  expect(await isCollected(kept.holder)).toBe(false);
  settleStack(kept.error);
  expect(await isCollected(kept.holder)).toBe(true);
  expect(kept.error.stack).toContain('failOnce');
});

it('a ring of causes is followed for a bounded time', () => {
  const one = new Error('one');
  one.cause = new Error('other', { cause: one });
  settleStack(one);
});
