import type { Piece, Protocol, Reader, Request } from './tcp-proxy.ts';

/**
 * PostgreSQL's frontend/backend protocol (manual, chapter 54), as far as a proxy needs it: where a request ends, and where its answer does
 * (ReadyForQuery). Without TLS. `label` names what a statement does.
 */
export function postgresProtocol(label: () => (sql: string) => Request | undefined): Protocol {
  return { requests: () => readRequests(label()), answers: readAnswers };
}

const OTHER: Request = { what: 'other', tag: undefined };
const START_UP: Request = { what: 'start-up', tag: undefined };

function readRequests(label: (sql: string) => Request | undefined): Reader<Request> {
  let rest = Buffer.alloc(0);
  let hasStarted = false;
  /** Of a statement that is parsed and not synchronised yet. */
  let parsed: Request | undefined;
  return {
    push(bytes) {
      const pieces: Piece<Request>[] = [];
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        // The first message has no type (section 54.7, StartupMessage).
        const head = hasStarted ? 1 : 0;
        if (rest.length < head + 4) return pieces;
        const length = head + rest.readUInt32BE(head);
        if (rest.length < length) return pieces;
        const piece = rest.subarray(0, length);
        rest = rest.subarray(length);
        if (!hasStarted) {
          hasStarted = true;
          pieces.push({ bytes: piece, mark: START_UP });
          continue;
        }
        pieces.push({ bytes: piece, mark: markOf(piece) });
      }
    },
  };

  function markOf(piece: Buffer): Request | undefined {
    switch (String.fromCharCode(piece[0] as number)) {
      case 'Q':
        return label(piece.toString('utf8', 5, piece.length - 1)) ?? OTHER;
      case 'P': {
        const from = piece.indexOf(0, 5) + 1;
        parsed = label(piece.toString('utf8', from, piece.indexOf(0, from)));
        return undefined;
      }
      case 'S': {
        const mark = parsed ?? OTHER;
        parsed = undefined;
        return mark;
      }
      default:
        return undefined;
    }
  }
}

function readAnswers(): Reader<'end' | 'free'> {
  let rest = Buffer.alloc(0);
  let isReady = false;
  return {
    push(bytes) {
      const pieces: Piece<'end' | 'free'>[] = [];
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 5) {
        const length = 1 + rest.readUInt32BE(1);
        if (rest.length < length) break;
        const piece = rest.subarray(0, length);
        rest = rest.subarray(length);
        const isEnd = piece[0] === 0x5a; // Z
        // Authentication is a conversation of its own: nothing of it can wait.
        pieces.push({ bytes: piece, mark: isEnd ? 'end' : isReady ? undefined : 'free' });
        isReady ||= isEnd;
      }
      return pieces;
    },
  };
}
