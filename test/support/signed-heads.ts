import { signCheckpoint } from '../../src/adapters/journal/checkpoint-file.ts';
import { ed25519Signer } from '../../src/adapters/journal/ed25519-signer.ts';
import { createVerifier } from '../../src/adapters/journal/signed-note.ts';
import { originOf } from '../../src/compose/trail/store-heads.ts';
import type { TenantId } from '../../src/domain/ids.ts';
import type { TrailHead } from '../../src/domain/trail-head.ts';

/** A head as the node of a name signs it: its key follows from the name, its root from what is given. */
export function signedHead(tenant: TenantId, node: string, size: number, root = 1): TrailHead {
  const signer = ed25519Signer(Buffer.alloc(32, node));
  const verifier = createVerifier(originOf(tenant, signer.publicKey), signer.publicKey);
  const note = signCheckpoint({ size, root: Buffer.alloc(32, root).toString('latin1') }, verifier, signer);
  const checkpoint = Buffer.from(note, 'latin1').toString('utf8');
  return { tenant, node, origin: verifier.name, key: verifier.text, size, checkpoint };
}
