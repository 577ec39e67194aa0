import { join } from 'node:path';
import { ed25519Signer } from '../../src/adapters/journal/ed25519-signer.ts';
import { openFileJournal } from '../../src/adapters/journal/open-file-journal.ts';
import { newestCheckpoint } from '../../src/adapters/journal/prove.ts';
import { createVerifier } from '../../src/adapters/journal/signed-note.ts';
import { createRecorder, type RecordEntry } from '../../src/audit/recorder.ts';
import { originOf } from '../../src/compose/trail/store-heads.ts';
import { type TenantId, tenantId } from '../../src/domain/ids.ts';
import type { SeenHead } from '../../src/domain/trail-head.ts';

const TENANT: TenantId = tenantId('default');
let nextTime = Date.UTC(2026, 0, 1);

/** The time of the newest record of all, in milliseconds. */
export const newestRecord = (): number => nextTime;

/** A journal of a node, written to when told. */
export class FakeNode {
  readonly name: string;
  readonly folder: string;
  readonly verifier;
  readonly #signer;

  /** In a data folder; `key` stands for a journal that was begun anew. */
  constructor(data: string, name: string, key = name) {
    this.name = name;
    this.folder = join(data, 'journal');
    this.#signer = ed25519Signer(Buffer.alloc(32, key));
    this.verifier = createVerifier(originOf(TENANT, this.#signer.publicKey), this.#signer.publicKey);
  }

  async write(...entries: readonly RecordEntry[]): Promise<void> {
    const { name: origin } = this.verifier;
    const journal = await openFileJournal({ folder: this.folder, origin, signer: this.#signer });
    const recorder = createRecorder({ journal, clock: () => (nextTime += 1000), tenant: TENANT });
    for (const entry of entries) await recorder.record(entry);
    await journal.close();
  }

  work(count: number): Promise<void> {
    const entry: RecordEntry = { type: 'task_ended', detail: { reason: 'completed' } };
    return this.write(...Array.from({ length: count }, () => entry));
  }

  async head(): Promise<Omit<SeenHead, 'origin'>> {
    const { size, note } = await newestCheckpoint(this.folder, this.verifier);
    const checkpoint = Buffer.from(note, 'latin1').toString('utf8');
    return { node: this.name, key: this.verifier.text, size, checkpoint };
  }

  async see(...others: readonly FakeNode[]): Promise<void> {
    const seen = await Promise.all(others.map((other) => other.head()));
    await this.write({ type: 'checkpoint_seen', detail: { seen } });
  }
}
