import { createHash, createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { scramVerifier } from '../../src/adapters/issuers/scram-verifier.ts';

describe('SCRAM verifier', () => {
  it('agrees with the example of RFC 7677 section 3', async () => {
    // User "user", password "pencil": salt and iterations as there. The two keys follow from its proof and signature:
    // ClientKey = ClientProof xor HMAC(StoredKey, AuthMessage), as a client of that exchange verifies.
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    const verifier = await scramVerifier('pencil', randomBytes, salt, 4096);
    const [head, keys] = verifier.split('$').slice(1) as [string, string];
    expect(head).toBe('4096:W22ZaJ0SNY7soEsUEjb6gQ==');
    const [storedKey, serverKey] = keys.split(':').map((key) => Buffer.from(key, 'base64')) as [Buffer, Buffer];
    const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
    const authMessage = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${nonce}`;
    const signature = createHmac('sha256', storedKey).update(authMessage).digest();
    const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');
    const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] as number)));
    expect(createHash('sha256').update(clientKey).digest()).toEqual(storedKey);
    expect(createHmac('sha256', serverKey).update(authMessage).digest('base64')).toBe(
      '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    );
  });

  it('has another salt each time and never the password', async () => {
    const one = await scramVerifier('correct-horse', randomBytes);
    expect(one).toMatch(/^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/);
    expect(one).not.toBe(await scramVerifier('correct-horse', randomBytes));
    expect(one).not.toContain('correct-horse');
  });

  it.each(['', 'pass word', 'pässword', 'a\n'])('refuses %j, which SASLprep might change', async (password) => {
    await expect(scramVerifier(password, randomBytes)).rejects.toThrow(TypeError);
  });
});
