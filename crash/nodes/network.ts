import type { Random } from '../../harness/random.ts';

/** Where one gateway is, and how it gets to what it needs. */
export interface NodePlace {
  /** What its command line is put behind, so that it runs there. */
  readonly within: readonly string[];
  readonly host: string;
  readonly port: number;
  /** Where the other nodes reach it. */
  readonly address: string;
  readonly store: { readonly host: string; readonly port: number };
  /** The same PostgreSQL, as the database that its credentials are for. */
  readonly downstream: { readonly host: string; readonly port: number };
}

/** What stands between nodes, their store, their downstreams and their agents, and may be cut. */
export interface Network {
  /** Addresses besides loopback that PostgreSQL is to listen on, and from where it lets people in. */
  readonly postgres: { readonly addresses: readonly string[]; readonly from: string } | undefined;
  /** Where tools are to listen. */
  readonly toolsHost: string;
  /** How it can be cut, by names of faults. */
  readonly cuts: readonly string[];
  place(node: number, postgresPort: number): Promise<NodePlace>;
  /** @returns what makes it well again, to be called once */
  cut(node: number, how: string, random: Random): Promise<() => Promise<void>>;
  close(): Promise<void>;
}
