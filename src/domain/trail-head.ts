import type { TenantId } from './ids.ts';

/** The newest signed tree head of a node's journal, as others know it. */
export interface TrailHead {
  readonly tenant: TenantId;
  /** Name of the node whose journal it is. */
  readonly node: string;
  /** Name of the log and of its key. A journal that was begun anew after damage has another one. */
  readonly origin: string;
  /** The key that signs it, a vkey. */
  readonly key: string;
  /** Records under it. */
  readonly size: number;
  /** The signed note, whole. */
  readonly checkpoint: string;
}

/** As a node's own journal keeps it of another's: its first line is the origin. */
export type SeenHead = Omit<TrailHead, 'tenant'>;

/** Undefined for what is none. */
export function readSeenHead(value: unknown): SeenHead | undefined {
  const { node, key, size, checkpoint } = (value ?? {}) as Partial<Record<keyof SeenHead, unknown>>;
  if (typeof node !== 'string' || typeof key !== 'string' || typeof checkpoint !== 'string') return undefined;
  if (!Number.isSafeInteger(size) || (size as number) < 0) return undefined;
  const origin = checkpoint.slice(0, Math.max(0, checkpoint.indexOf('\n')));
  return origin === '' ? undefined : { node, origin, key, size: size as number, checkpoint };
}
