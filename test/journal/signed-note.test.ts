import { createPrivateKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ed25519Signer, newSignerKey } from '../../src/adapters/journal/ed25519-signer.ts';
import {
  createVerifier,
  isKeyName,
  isSignedBy,
  parseVerifier,
  signNote,
} from '../../src/adapters/journal/signed-note.ts';
import { ORIGIN, testSigner } from './journal-fixture.ts';

// The example in the documentation of Go's golang.org/x/mod/sumdb/note, the format's origin.
const GO_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const GO_LINE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('signed note', () => {
  it('verifies a note that another implementation signed', () => {
    const verifier = parseVerifier(GO_KEY);
    if (verifier === undefined) throw new Error('the key was not parsed');
    expect(verifier.name).toBe('PeterNeumann');
    expect(isSignedBy(verifier, GO_TEXT, latin1(GO_LINE))).toBe(true);
    expect(isSignedBy(verifier, `${GO_TEXT} `, latin1(GO_LINE))).toBe(false);
    expect(isSignedBy(verifier, GO_TEXT, latin1(GO_LINE.replace('nAM=', 'nAN=')))).toBe(false);
    expect(isSignedBy(verifier, GO_TEXT, latin1(GO_LINE.replace('nAM=', 'nAM')))).toBe(false);
  });

  it('signs notes that verify under the printed key', () => {
    const verifier = createVerifier(ORIGIN, testSigner.publicKey);
    const note = signNote('some text\n', verifier, testSigner);
    const [text, line] = [note.slice(0, 'some text\n'.length), note.slice('some text\n\n'.length)];
    const parsed = parseVerifier(verifier.text);
    expect(parsed?.text).toBe(verifier.text);
    expect(isSignedBy(parsed ?? verifier, text, line)).toBe(true);
    expect(isSignedBy(parseVerifier(GO_KEY) ?? verifier, text, line)).toBe(false);
  });

  it.each([
    '',
    'abc',
    GO_KEY.replace('c74f20a3', 'c74f20a4'),
    GO_KEY.replace('+ARpc', '+AhpC'),
    GO_KEY.replace('PeterNeumann', 'PeterNewmann'),
    `${GO_KEY}\n`,
    GO_KEY.slice(0, -1),
  ])('does not parse %j', (text) => {
    expect(parseVerifier(text)).toBeUndefined();
  });

  it('allows only names that fit on a signature line', () => {
    expect(isKeyName('example.org/log~1')).toBe(true);
    for (const name of ['', 'a b', 'a+b', 'a\nb', 'é', 'a\u2003b']) expect(isKeyName(name)).toBe(false);
  });
});

describe('Ed25519 signer', () => {
  it('takes a seed or PKCS #8 and gives the same signer', () => {
    const pair = generateKeyPairSync('ed25519');
    const der = pair.privateKey.export({ format: 'der', type: 'pkcs8' });
    const signer = ed25519Signer(der);
    expect(ed25519Signer(der.subarray(-32)).publicKey).toEqual(signer.publicKey);
    const data = Buffer.from('data');
    expect(verify(null, data, pair.publicKey, signer.sign(data))).toBe(true);
    expect(signer.sign(data)).toEqual(ed25519Signer(der.subarray(-32)).sign(data));
  });

  it('makes a key from the random bytes that it is given', () => {
    const key = newSignerKey((size) => Buffer.alloc(size, 7));
    expect(createPrivateKey({ key, format: 'der', type: 'pkcs8' }).asymmetricKeyType).toBe('ed25519');
    expect(ed25519Signer(key).publicKey).toEqual(testSigner.publicKey);
  });

  it('refuses another kind of key', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(() => ed25519Signer(privateKey.export({ format: 'der', type: 'pkcs8' }))).toThrow('Ed25519');
  });
});
