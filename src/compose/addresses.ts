/** A host as it stands in a URL. */
export const hostText = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** Under which URL agents reach a port of the gateway's: the public one where there is one. */
export const ownUrl = (
  { publicUrl }: { readonly publicUrl?: string | undefined },
  { host, port }: { readonly host: string; readonly port: number },
): string => (publicUrl ?? `http://${hostText(host)}:${port}`).replace(/\/+$/, '');

/** Under which URL other nodes reach a port of this one's. */
export const nodeAddress = (
  { node }: { readonly node: { readonly address?: string | undefined } },
  { host, port }: { readonly host: string; readonly port: number },
): string => (node.address ?? `http://${hostText(host)}:${port}`).replace(/\/+$/, '');

/** Where a worker listens alone, so that others reach this one among those that share a port: on loopback, or behind `node.address`, whose port counts up. */
export function workerPlace(
  {
    node: { address },
    listen: { host },
  }: { readonly node: { readonly address?: string | undefined }; readonly listen: { readonly host: string } },
  worker: number,
): { readonly host: string; readonly port: number; readonly node: { readonly address?: string } } {
  if (address === undefined) return { host: '127.0.0.1', port: 0, node: {} };
  const url = new URL(address);
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port) + worker;
  url.port = String(port);
  return { host, port, node: { address: url.href } };
}

/** Names under which the gateway may be addressed: what it listens on, loopback's usual names, and its public URL. */
export function allowedHosts(url: string, host: string, port: number): ReadonlySet<string> {
  const { host: publicHost } = new URL(url);
  return new Set([
    publicHost.toLowerCase(),
    `${hostText(host).toLowerCase()}:${port}`,
    `localhost:${port}`,
    `127.0.0.1:${port}`,
  ]);
}
