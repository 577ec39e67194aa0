import { createS3Archive } from '../../adapters/archive/s3-archive.ts';
import type { Archive } from '../../seams/archive.ts';
import type { Workspace } from '../workspace.ts';

export interface OpenArchive {
  readonly archive: Archive;
  close(): Promise<void>;
}

/** Where closed segments and the newest checkpoint go; undefined when nothing is configured. @throws `ERR_CONFIG_INVALID` */
export async function openArchive(workspace: Workspace): Promise<OpenArchive | undefined> {
  const { config, vault, system } = workspace;
  const { s3 } = config.journal.ship;
  if (s3 === undefined) return undefined;
  const { endpoint, bucket, prefix, region, accessKeyId, secretAccessKey } = s3;
  const { guardedService } = await import('../credentials/makers/guarded-service.ts');
  const { fetch, close } = await guardedService(workspace, endpoint, s3);
  const archive = createS3Archive({
    endpoint,
    bucket,
    prefix,
    region,
    credentials: async () => ({ accessKeyId, secretAccessKey: await vault.get(secretAccessKey) }),
    fetch,
    clock: system.clock,
  });
  return { archive, close };
}
