import type { Piece, Protocol, Reader, Request } from './tcp-proxy.ts';

/** Redis' protocol (RESP2), as far as a proxy needs it. `label` names what a command does. */
export function redisProtocol(label: (command: readonly string[]) => Request | undefined): Protocol {
  return {
    requests: () =>
      readValues((piece) => label(commandOf(piece)) ?? { what: 'other', tag: undefined }) satisfies Reader<Request>,
    answers: () => readValues(() => 'end' as const),
  };
}

function readValues<T>(mark: (piece: Buffer) => T): Reader<T> {
  let rest = Buffer.alloc(0);
  return {
    push(bytes) {
      const pieces: Piece<T>[] = [];
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        const end = endOfValue(rest, 0);
        if (end === undefined) return pieces;
        const piece = rest.subarray(0, end);
        rest = rest.subarray(end);
        pieces.push({ bytes: piece, mark: mark(piece) });
      }
    },
  };
}

/** Where the value that begins at `from` ends; undefined while it is not whole. */
function endOfValue(bytes: Buffer, from: number): number | undefined {
  const line = bytes.indexOf('\r\n', from);
  if (line === -1) return undefined;
  const count = Number(bytes.toString('latin1', from + 1, line));
  const next = line + 2;
  switch (String.fromCharCode(bytes[from] as number)) {
    case '$':
      return count < 0 ? next : next + count + 2 <= bytes.length ? next + count + 2 : undefined;
    case '*': {
      let at: number | undefined = next;
      for (let index = 0; index < count && at !== undefined; index++) at = endOfValue(bytes, at);
      return at;
    }
    default:
      return next;
  }
}

/** The words of a command, which is an array of bulk strings. */
function commandOf(piece: Buffer): string[] {
  const lines = piece.toString('utf8').split('\r\n');
  return lines.filter((_, index) => index > 0 && index % 2 === 0 && index < lines.length - 1);
}
