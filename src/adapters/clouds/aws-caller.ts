import { AwsV4Signer } from 'aws4fetch';
import type { Secret } from '../../domain/secret.ts';
import { askJson, type Fetch, type JsonAnswer } from './ask-json.ts';
import { serviceAddress } from './service-address.ts';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  /** Of credentials that are temporary themselves. */
  readonly sessionToken?: Secret | undefined;
}

export interface AwsService {
  readonly endpoint: string;
  readonly region: string;
  /** As signatures name it: `sts`, `kms`. */
  readonly service: string;
  /** Asked at every request. */
  readonly credentials: () => Promise<AwsCredentials>;
  readonly fetch: Fetch;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** One signed POST (Signature Version 4). What the service refuses is an answer, too. */
export type AwsCaller = (
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
) => Promise<JsonAnswer>;

export function createAwsCaller({ endpoint, region, service, credentials, fetch, clock }: AwsService): AwsCaller {
  const url = `${serviceAddress(endpoint, 'endpoint')}/`;
  return async (headers, body, signal) => {
    signal.throwIfAborted();
    const { accessKeyId, secretAccessKey, sessionToken } = await credentials();
    const signer = new AwsV4Signer({
      method: 'POST',
      url,
      headers: { Accept: 'application/json', ...headers },
      body,
      accessKeyId,
      secretAccessKey: secretAccessKey.reveal(),
      ...(sessionToken !== undefined && { sessionToken: sessionToken.reveal() }),
      service,
      region,
      datetime: new Date(clock()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
      allHeaders: true,
    });
    const signed = await signer.sign();
    return askJson(fetch, url, { method: 'POST', headers: signed.headers, body, signal });
  };
}
