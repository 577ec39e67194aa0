import { createHash, createHmac, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import type { RandomBytes } from '../../domain/ids.ts';

/** RFC 7677 section 4: at least 4096. More would only slow the client: the password has 256 random bits. */
const ITERATIONS = 4096;
const SALT_BYTES = 16;
const deriveKey = promisify(pbkdf2);

/**
 * SCRAM-SHA-256 verifier in PostgreSQL's form, `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5802
 * section 3, RFC 7677). Computed here, so that the password never crosses the admin connection, where `log_statement`
 * or a failed statement would put it into the server's log.
 * @param password printable ASCII only: SASLprep (RFC 4013) maps it to itself
 */
export async function scramVerifier(
  password: string,
  random: RandomBytes,
  salt: Uint8Array = random(SALT_BYTES),
  iterations: number = ITERATIONS,
): Promise<string> {
  if (!/^[\x21-\x7e]+$/.test(password)) throw new TypeError('a password for SCRAM is printable ASCII here');
  const salted = await deriveKey(password, salt, iterations, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  salted.fill(0);
  clientKey.fill(0);
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`;
}
