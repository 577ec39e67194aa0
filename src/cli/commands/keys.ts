import type { Command } from 'commander';
import { rotateKek } from '../../compose/credentials/rotate-kek.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { isRemitError } from '../../domain/errors.ts';
import { STORE_WIDE } from '../../secrets/fingerprints.ts';
import { callAdmin, callEveryAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';
import { recordChange } from '../record-change.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addKeysCommands(program: Command): void {
  const group = program.command('keys').description('the keys that sign task tokens, and the vault’s key');
  command<Common>(
    group,
    'rotate',
    'sign with a new key from now on; tokens signed with the old one stay good until they expire',
    (c) => c,
    async (output, options) => {
      const { socket } = placesOf(await loadConfig(options.config));
      const { keys } = await callAdmin<{ keys: string[] }>(socket, 'rotate-keys');
      output.result({ keys }, () => `signing with ${keys[0]}; still verifying: ${keys.slice(1).join(', ') || 'none'}`);
    },
  );

  command<Common>(
    group,
    'rotate-kek',
    'wrap everything at rest with a new vault key, while the gateway goes on; run again, it finishes what was broken off',
    (c) => c,
    async (output, options) => {
      const rotated = await rotateKek((work) => withWorkspace(options, work), {
        record: recordChange,
        async reloadGateway({ places }) {
          await callEveryAdmin(places.socket, 'reload-vault-keys').catch((error: unknown) => {
            if (!isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) throw error;
          });
        },
        onProgress: (rows) => output.note(`${rows} rows are wrapped anew`),
      });
      output.result(rotated, () =>
        [
          `${rotated.rewrapped} rows wrapped anew; everything is under ${rotated.current}.`,
          rotated.isForgotten
            ? `${rotated.former.join(', ')} is no longer configured.`
            : 'The configuration could not be written: take formerVaultKeys out of it, and restart the gateway.',
          `Keep ${rotated.formerPlaces.join(', ')} for as long as you keep backups made before now; then destroy it.`,
        ].join('\n'),
      );
    },
  );

  command<Common>(
    group,
    'ls',
    'list the vault’s keys, and how many rows each has wrapped',
    (c) => c,
    async (output, options) => {
      const keys = await withWorkspace(options, async ({ keys: ring, store, estate }) => {
        const counts = await store.sealedRows.countByKey([estate.tenant, STORE_WIDE]);
        const roles = new Map([
          [ring.current.keyId, 'current'],
          ...ring.former.map(({ keyId }) => [keyId, 'former'] as const),
        ]);
        const ids = new Set([...roles.keys(), ...counts.keys()]);
        return [...ids].map((keyId) => ({
          keyId,
          role: roles.get(keyId) ?? 'not configured',
          rows: counts.get(keyId) ?? 0,
        }));
      });
      output.result(keys, () =>
        table(
          ['KEY', 'ROLE', 'ROWS'],
          keys.map(({ keyId, role, rows }) => [keyId, role, String(rows)]),
          'There is no key.',
        ),
      );
    },
  );
}
