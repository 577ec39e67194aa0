/**
 * Host, port and database that a `postgres://` URL names, without user and password: to be shown.
 *
 * A password that is not percent-encoded can end the authority early (RFC 3986 §3.2), and what follows would be taken for host or database, and shown: an `@`
 * behind the authority, or a fragment, which such a URL never has, tells of it.
 * @returns undefined where it is no such URL
 */
export function placeOfUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) return undefined;
  if (/[@#]/.test(url.pathname + url.search + url.hash)) return undefined;
  const host = url.hostname === '' ? (url.searchParams.get('host') ?? 'localhost') : decodeURIComponent(url.hostname);
  return `${host}:${url.port === '' ? '5432' : url.port}${url.pathname}`;
}

/** What to do where there is no place. */
export const WRITE_THE_URL =
  'Write it as postgres://user:password@host:5432/database, with / ? # @ % in user and password percent-encoded (%2F %3F %23 %40 %25).';
