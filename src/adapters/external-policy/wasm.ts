export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** What is used of WebAssembly's JavaScript interface: the types of Node leave it to browsers. */
interface Wasm {
  compile(code: Uint8Array): Promise<object>;
  readonly Memory: new (size: { initial: number; maximum: number }) => WasmMemory;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Readonly<Record<string, unknown>> };
  readonly LinkError: new () => Error;
}

export const wasm = (globalThis as unknown as { readonly WebAssembly: Wasm }).WebAssembly;
