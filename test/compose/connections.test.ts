import { expect, it } from 'vitest';
import { connectionsOf, sumConnections } from '../../src/compose/nodes/connections.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { configSchema } from '../../src/config/schema.ts';

const limits = { most: 100, reserved: 3, ofRole: undefined };
const others = (...connections: number[]) => connections.map((count) => ({ connections: count }));

it('what all nodes may open is set beside what the server has', () => {
  expect(sumConnections(11, [], limits)).toMatchObject({ nodes: 1, needed: 11, available: 97, hint: undefined });
  expect(sumConnections(11, others(11, 21), limits)).toMatchObject({ nodes: 3, needed: 43, hint: undefined });
});

it('exactly as many as there are fit, and one more does not', () => {
  expect(sumConnections(33, others(32, 32), limits).hint).toBeUndefined();
  expect(sumConnections(33, others(32, 33), limits)).toMatchObject({
    needed: 98,
    what: '3 nodes may open 98 connections; the server has 97 (max_connections 100, less 3 reserved)',
    hint: 'Set store.connections to 31 or less at every node, or raise max_connections to 101 or more.',
  });
});

it('a node that does not say how many is taken to be like this one', () => {
  expect(sumConnections(40, others(0, 0), limits)).toMatchObject({ needed: 120, hint: expect.any(String) });
});

it('a narrower limit of database or role counts, a wider one does not', () => {
  expect(sumConnections(11, others(11), { ...limits, ofRole: 20 })).toMatchObject({
    available: 20,
    hint: 'Set store.connections to 9 or less at every node, or raise its CONNECTION LIMIT.',
  });
  expect(sumConnections(11, others(11), { ...limits, ofRole: 500 })).toMatchObject({ available: 97 });
});

it('where no number would do, fewer nodes are said to be the way', () => {
  expect(sumConnections(11, others(11, 11, 11), { ...limits, ofRole: 8 }).hint).toMatch(/^Run fewer nodes, or /);
});

it('a connection that records are added to a table by counts where that is at the store’s server, in whichever database', () => {
  const urls: Record<string, string> = {
    STORE: 'postgres://remit:a@db.internal/remit',
    SAME: 'postgres://rows:b@db.internal:5432/trail?sslmode=require',
    OTHER: 'postgres://rows:b@trail.internal/trail',
  };
  const own = (store: object, ship: object = {}): number => {
    const config = configSchema.parse({ version: 1, store, journal: { ship } });
    return connectionsOf({ config, system: { environment: (name: string) => urls[name] } } as unknown as Workspace);
  };
  const store = { kind: 'postgres', urlVariable: 'STORE' };
  expect(own(store)).toBe(11);
  expect(own(store, { postgres: { urlVariable: 'SAME' } })).toBe(12);
  expect(own(store, { postgres: { urlVariable: 'OTHER' } })).toBe(11);
  expect(own(store, { postgres: { urlVariable: 'UNSET' } })).toBe(11);
  expect(own({ kind: 'sqlite' }, { postgres: { urlVariable: 'SAME' } })).toBe(0);
  expect(sumConnections(12, others(12), { ...limits, ofRole: 20 }, 2).hint).toMatch(
    /^Set store.connections to 8 or less/,
  );
});
