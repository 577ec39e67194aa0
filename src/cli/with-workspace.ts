import { createSystem } from '../compose/system.ts';
import { openWorkspace, type Workspace } from '../compose/workspace.ts';

/** Opens what the configuration names, works with it and closes it again, whatever came of the work. */
export async function withWorkspace<T>(
  options: { readonly config: string },
  work: (workspace: Workspace) => Promise<T>,
  log: Parameters<typeof createSystem>[0]['log'] = 'silent',
): Promise<T> {
  const workspace = await openWorkspace(options.config, createSystem({ log }));
  try {
    return await work(workspace);
  } finally {
    await workspace.close();
  }
}
