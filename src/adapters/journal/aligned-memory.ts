const PAGE = 65_536;

/** Node's types leave it out. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: { Memory: new (of: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer } };
};

/**
 * Memory that begins at a page's boundary, as direct I/O wants it; at least `length` bytes. Node promises nothing of where
 * a Buffer lies; WebAssembly's memory is always mapped by pages.
 */
export function alignedBuffer(length: number): Buffer {
  const pages = Math.ceil(length / PAGE);
  return Buffer.from(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
}
