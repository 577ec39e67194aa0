import { setFlagsFromString } from 'node:v8';

/**
 * V8 doubles its young heap, up to 32 MiB, while much survives; at a start nearly everything does, and it never gives that memory back. So it
 * stays at its first size until the start is over: what survives is meant to stay and moves to the old heap at once.
 */
export function holdYoungHeap(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** From here on calls decide how large it must be: too small a one would move what is under way to the old heap. */
export function letYoungHeapGrow(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
}
