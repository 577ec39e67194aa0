import type { OnReadOpts, Socket } from 'node:net';

/** As much as Node reads at once. Bytes. */
const SIZE = 64 * 1024;

const readers = new WeakMap<object, (bytes: Buffer) => void>();

/**
 * For connections that are read by `readBytes`: what comes is read into one buffer that all of them share. Otherwise each piece is read into 64 KiB
 * of its own, which costs as much as what is done with it; and a socket that is paused goes on reading until it has a buffer full.
 */
export const SHARED_READ: OnReadOpts = {
  buffer: Buffer.allocUnsafeSlow(SIZE),
  callback(this: unknown, size: number, buffer: Uint8Array): boolean {
    readers.get(this as object)?.((buffer as Buffer).subarray(0, size));
    return true;
  },
};

/**
 * Has a connection read, and by nobody else than whoever asked last.
 * @param reader given the bytes that have come; they are another's once it returns
 */
export function readBytes(socket: Socket, reader: (bytes: Buffer) => void): void {
  readers.set(socket, reader);
  // For connections that were made otherwise; and only a stream that flows comes to its end.
  socket.removeAllListeners('data').on('data', reader);
}
