import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { OrderReport } from '../../src/compose/revocation/order-revocation.ts';
import { endAll, makeHome, run } from './remit.ts';

afterAll(endAll);

it('V1 an order to a gateway that hangs is made in the store within seconds, where the others read it', async () => {
  const { config, folder } = await makeHome();
  // Takes connections, as a process that stands still does, and answers none.
  const hanging = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((listening) => hanging.listen(join(folder, '.remit', 'admin.sock'), listening));
  try {
    const begun = performance.now();
    const { code, stdout, stderr } = await run(['kill', '--all', '--reason', 'drill', '--config', config, '--json']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout) as OrderReport).toMatchObject({ position: 1, subject: 'all', appliedHere: false });
    expect(performance.now() - begun).toBeLessThan(40_000);
  } finally {
    hanging.close();
  }
});
