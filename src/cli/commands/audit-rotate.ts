import type { Command } from 'commander';
import { type RotatedTrail, rotateTrail } from '../../compose/trail/rotate-trail.ts';
import { isRemitError } from '../../domain/errors.ts';
import { callEveryAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { withWorkspace } from '../with-workspace.ts';

/** `remit audit rotate`: ends the segment that is written to, so that it can be copied away, or removed by its age. */
export function addRotateCommand(group: Command): void {
  command<Common>(
    group,
    'rotate',
    'end the current segment and begin another; what is not to be kept any longer is removed',
    (c) => c,
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const rotated = await callEveryAdmin<RotatedTrail>(workspace.places.socket, 'rotate-journal').catch(
          async (error: unknown) => {
            if (isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) return [await rotateTrail(workspace)];
            throw error;
          },
        );
        const result = rotated.length === 1 ? rotated[0] : { trails: rotated };
        output.result(result, () => rotated.map(({ first }) => `a new segment begins with record ${first}`).join('\n'));
      });
    },
  );
}
