import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Secret } from '../src/domain/secret.ts';

/** A login of MariaDB's protocol that stops in the middle: the server knows whose it is, and has not let it in. */
export interface SlowLogin {
  /** Shows the password. @returns whether it was let in */
  finish(): Promise<boolean>;
  /** @throws when the server refuses it, or has ended the session */
  query(sql: string): Promise<void>;
  close(): void;
}

const CAPABILITIES = 0x1 | 0x200 | 0x8000 | 0x80000; // LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH
const OK = 0x00;
const AUTH_SWITCH = 0xfe;
const ERROR = 0xff;

/**
 * Names a method that no account has: the server answers with the account's own (Protocol::AuthSwitchRequest), and waits. By then it has looked
 * the account up.
 */
export async function connectSlowly(port: number, fields: Readonly<Record<string, Secret>>): Promise<SlowLogin> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  const packets = socket[Symbol.asyncIterator]();
  const read = async (): Promise<Buffer> => {
    const { value, done } = await packets.next().catch(() => ({ value: undefined, done: true as const }));
    if (done === true) throw new Error('the server has closed the connection');
    return (value as Buffer).subarray(4);
  };
  const write = (sequence: number, body: Buffer): void => {
    const head = Buffer.alloc(4);
    head.writeUIntLE(body.length, 0, 3);
    head[3] = sequence;
    socket.write(Buffer.concat([head, body]));
  };
  await once(socket, 'connect');
  await read();
  const start = Buffer.alloc(32);
  start.writeUInt32LE(CAPABILITIES, 0);
  start.writeUInt32LE(1 << 24, 4);
  start[8] = 45;
  const user = fields.username?.reveal() ?? '';
  write(1, Buffer.concat([start, Buffer.from(`${user}\0\0client_ed25519\0`)]));
  const asked = await read();
  if (asked[0] !== AUTH_SWITCH) throw new Error(`the server asked for no other method: ${asked.toString('latin1')}`);
  const challenge = asked.subarray(asked.indexOf(0) + 1).subarray(0, 20);
  return {
    async finish() {
      write(3, answerTo(challenge, fields.password?.reveal() ?? ''));
      const answer = await read().catch(() => Buffer.from([ERROR]));
      return answer[0] === OK;
    },
    async query(sql) {
      write(0, Buffer.concat([Buffer.from([3]), Buffer.from(sql)]));
      const answer = await read();
      if (answer[0] === ERROR) throw new Error(answer.toString('latin1'));
    },
    close: () => socket.destroy(),
  };
}

/** `mysql_native_password`: SHA1(password) XOR SHA1(challenge, SHA1(SHA1(password))). */
function answerTo(challenge: Buffer, password: string): Buffer {
  const sha1 = (...parts: (Buffer | string)[]) =>
    createHash('sha1')
      .update(Buffer.concat(parts.map(Buffer.from)))
      .digest();
  const once = sha1(password);
  const mask = sha1(challenge, sha1(once));
  return Buffer.from(once.map((byte, at) => byte ^ (mask[at] as number)));
}
