import { generateKeyPairSync, sign } from 'node:crypto';

/** A certificate that says nothing but its key (X.509 v1, RFC 5280 section 4.1), and that key (PKCS#8): PEM, one behind the other. */
export function selfSigned(): { readonly pem: string; readonly certificate: string } {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  // sha256WithRSAEncryption, 1.2.840.113549.1.1.11
  const algorithm = der(0x30, Buffer.from('06092a864886f70d01010b0500', 'hex'));
  const nobody = der(0x30);
  const always = der(0x30, der(0x17, Buffer.from('250101000000Z')), der(0x17, Buffer.from('450101000000Z')));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = der(0x30, der(0x02, Buffer.from([1])), algorithm, nobody, always, nobody, spki);
  const signature = sign('sha256', body, privateKey);
  const certificate = pemOf('CERTIFICATE', der(0x30, body, algorithm, der(0x03, Buffer.from([0]), signature)));
  return { pem: `${certificate}${privateKey.export({ type: 'pkcs8', format: 'pem' })}`, certificate };
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

function pemOf(name: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${name}-----\n${lines.join('\n')}\n-----END ${name}-----\n`;
}
