import { AwsV4Signer } from 'aws4fetch';

/** What a caller of S3 holds. */
export interface S3Caller {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Answer {
  readonly status: number;
  readonly bytes: Buffer;
}

/** One signed request, as any client sends it. @param path encoded, with the bucket in front */
export async function askS3(
  server: string,
  caller: S3Caller,
  method: string,
  path: string,
  body?: string,
): Promise<S3Answer> {
  const url = `${server}${path}`;
  const signer = new AwsV4Signer({ method, url, ...caller, service: 's3', region: 'us-east-1', ...(body && { body }) });
  const { headers } = await signer.sign();
  const response = await fetch(url, { method, headers, ...(body && { body }) });
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
}

/** Everything in a bucket that has not more than a thousand objects, by key. */
export async function downloadBucket(server: string, caller: S3Caller, bucket: string): Promise<Map<string, Buffer>> {
  const { bytes } = await askS3(server, caller, 'GET', `/${bucket}`);
  const keys = [...bytes.toString().matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key]) => key as string);
  const found = new Map<string, Buffer>();
  for (const key of keys) {
    const path = key.split('/').map(encodeURIComponent).join('/');
    found.set(key, (await askS3(server, caller, 'GET', `/${bucket}/${path}`)).bytes);
  }
  return found;
}
