import type { Revision } from './suite.ts';

/** Which server stands behind the gateway: the fixture in one era only, over HTTP or as a child of the gateway. */
export type Upstream = 'legacy' | 'modern' | 'stdio';

export interface Pairing {
  /** Name in `cannot-bridge.json`. */
  readonly id: string;
  readonly title: string;
  /** The client's era is the set's. */
  readonly revision: Revision;
  readonly upstream: Upstream;
}

export const PAIRINGS: readonly Pairing[] = [
  { id: 'legacy-legacy', title: '2025-11-25', revision: '2025-11-25', upstream: 'legacy' },
  { id: 'modern-modern', title: '2026-07-28', revision: '2026-07-28', upstream: 'modern' },
  { id: 'legacy-modern', title: 'bridged legacy→modern', revision: '2025-11-25', upstream: 'modern' },
  { id: 'modern-legacy', title: 'bridged modern→legacy', revision: '2026-07-28', upstream: 'legacy' },
  { id: 'legacy-stdio', title: 'legacy→stdio', revision: '2025-11-25', upstream: 'stdio' },
  { id: 'modern-stdio', title: 'modern→stdio', revision: '2026-07-28', upstream: 'stdio' },
];
