import { Socket } from 'node:net';
import { Client, type ClientConfig, type Pool } from 'pg';
import type { TenantId } from '../../domain/ids.ts';
import type { Notice, Notices } from '../../seams/shared-store.ts';

const NOTICES: readonly Notice[] = ['revocation', 'approval', 'mark', 'risk', 'policy'];
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
const GOODBYE_MS = 1_000;

/** One channel a tenant; identifiers of PostgreSQL end at 63 bytes, tenants at 63 characters. */
const channelOf = (tenant: TenantId): string => `remit_${tenant}`.slice(0, 63);

/**
 * Notices by LISTEN and NOTIFY. One NOTIFY is under way at a time, outside of every transaction, for all that were asked for meanwhile: within a transaction it would take a lock
 * that all commits wait for. Listening takes a connection of its own, which no pooler may stand before.
 */
export function createPostgresNotices(pool: Pick<Pool, 'query'>, connection: ClientConfig): Notices {
  const wanted = new Map<string, { readonly channel: string; readonly notice: Notice }>();
  let isSending = false;

  async function sendAll(): Promise<void> {
    isSending = true;
    while (wanted.size > 0) {
      const all = [...wanted.values()];
      wanted.clear();
      for (const { channel, notice } of all) {
        // A notice that is lost costs time, and nothing else.
        await pool.query('select pg_notify($1, $2)', [channel, notice]).catch(ignore);
      }
    }
    isSending = false;
  }

  return {
    send(tenant, notice) {
      const channel = channelOf(tenant);
      wanted.set(`${channel} ${notice}`, { channel, notice });
      if (!isSending) void sendAll();
    },

    listen(tenant, onHeard) {
      const channel = channelOf(tenant);
      let isStopped = false;
      let failures = 0;
      let client: Client | undefined;
      let socket: Socket | undefined;
      let timer: NodeJS.Timeout | undefined;

      async function connect(): Promise<void> {
        const opened = new Socket();
        const made = new Client({ ...connection, stream: () => opened });
        client = made;
        socket = opened;
        let isOver = false;
        const again = (): void => {
          if (isOver) return;
          isOver = true;
          made.end().catch(ignore);
          if (isStopped) return;
          failures += 1;
          timer = setTimeout(() => void connect(), Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS));
          timer.unref();
        };
        made.on('error', again);
        made.on('end', again);
        made.on('notification', ({ payload }) => {
          const notice = NOTICES.find((one) => one === payload);
          if (notice !== undefined) onHeard(notice);
        });
        try {
          await made.connect();
          await made.query(`listen "${channel}"`);
          failures = 0;
          for (const notice of NOTICES) onHeard(notice);
        } catch {
          again();
        }
      }

      const first = connect();
      return {
        async stop() {
          isStopped = true;
          clearTimeout(timer);
          await first;
          // Said to the server, if it can be told: one that cannot be reached never says that it has heard.
          const late = setTimeout(() => socket?.destroy(), GOODBYE_MS);
          await client?.end().catch(ignore);
          clearTimeout(late);
        },
      };
    },
  };
}

function ignore(): void {}
