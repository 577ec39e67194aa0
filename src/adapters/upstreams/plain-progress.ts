/** How servers write the message around `params`: as JSON-RPC has it, and as the SDKs do. */
const FRAMES = [
  { head: '{"jsonrpc":"2.0","method":"notifications/progress","params":{', tail: '}}' },
  { head: '{"method":"notifications/progress","params":{', tail: '},"jsonrpc":"2.0"}' },
] as const;

/** Numbers, and text that needs no escape in JSON and hides nothing. */
const PLAIN =
  /"progress":-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?(?:,"total":-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?)?(?:,"message":"[ !#-[\]-~]*")?/y;

/**
 * Members of a notification of progress under a token, without the token, where it is written in one of the usual ways: most events of a stream
 * are such, and need not become objects to be passed on.
 * @param token ours, which needs no escape
 * @returns JSON text without braces; undefined for any other message, which is to be read
 */
export function readPlainProgress(text: string, token: string): string | undefined {
  const frame = text.startsWith(FRAMES[0].head) ? FRAMES[0] : FRAMES[1];
  if (!text.startsWith(frame.head) || !text.endsWith(frame.tail)) return undefined;
  let start: number = frame.head.length;
  let end = text.length - frame.tail.length;
  const first = `"progressToken":"${token}",`;
  if (text.startsWith(first, start)) start += first.length;
  else {
    const last = `,"progressToken":"${token}"`;
    end -= last.length;
    if (end < start || !text.startsWith(last, end)) return undefined;
  }
  PLAIN.lastIndex = start;
  return PLAIN.test(text) && PLAIN.lastIndex === end ? text.slice(start, end) : undefined;
}
