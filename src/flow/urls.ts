/** What a client or a mail program would make a link of. */
const URL_TEXT = /\b(?:https?:\/\/|www\.)[^\s<>"'`)\]}]+/gi;
const MAX_URLS = 200;

/** URLs that stand in a text. */
export function urlsIn(text: string): string[] {
  return (text.match(URL_TEXT) ?? []).slice(0, MAX_URLS).map((url) => url.replace(/[.,;:!?]+$/, ''));
}
