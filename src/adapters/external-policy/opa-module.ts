import { messageOf, RemitError } from '../../domain/errors.ts';
import { type WasmMemory, wasm } from './wasm.ts';

/** A policy that OPA compiled to WebAssembly, ready for questions. */
export interface OpaModule {
  /** The value of the entrypoint for an input; undefined where it has none. @throws whatever goes wrong inside */
  evaluate(input: unknown): unknown;
}

/** What we call of a module: OPA's documented ABI, of which the part with contexts is in every 1.x. */
interface Exports {
  readonly opa_wasm_abi_version: { readonly value: unknown };
  entrypoints(): number;
  builtins(): number;
  opa_malloc(size: number): number;
  opa_json_parse(address: number, size: number): number;
  opa_json_dump(value: number): number;
  opa_heap_ptr_get(): number;
  opa_heap_ptr_set(address: number): void;
  opa_eval_ctx_new(): number;
  opa_eval_ctx_set_input(context: number, value: number): void;
  opa_eval_ctx_set_data(context: number, value: number): void;
  opa_eval_ctx_set_entrypoint(context: number, entrypoint: number): void;
  opa_eval_ctx_get_result(context: number): number;
  eval(context: number): number;
}

const NEEDED = [
  'entrypoints',
  'builtins',
  'opa_malloc',
  'opa_json_parse',
  'opa_json_dump',
  'opa_heap_ptr_get',
  'opa_heap_ptr_set',
  'opa_eval_ctx_new',
  'opa_eval_ctx_set_input',
  'opa_eval_ctx_set_data',
  'opa_eval_ctx_set_entrypoint',
  'opa_eval_ctx_get_result',
  'eval',
];
const ABI = 1;
/** Of 64 KiB: what a module starts with, and 64 MiB at most (guarantee I3). */
const FEWEST_PAGES = 5;
const MOST_PAGES = 1_024;
const LONGEST_TEXT = 1_048_576;

/**
 * Instantiates a module. One that needs functions of its host is refused, as Rego means them and we do not have them; a trap leaves memory that
 * cannot be trusted, so that the next question meets a new instance.
 * @param entrypoint `package/rule`, as it was built with `opa build -t wasm -e`
 * @throws `ERR_POLICY_INVALID`
 */
export async function loadOpaModule(
  code: Uint8Array<ArrayBuffer>,
  data: unknown,
  entrypoint: string,
  where: string,
): Promise<OpaModule> {
  try {
    const module = await wasm.compile(code);
    let instance: Instance | undefined = createInstance(module, data, entrypoint);
    return {
      evaluate(input) {
        const used = instance ?? createInstance(module, data, entrypoint);
        instance = undefined;
        const value = used.evaluate(input);
        // Only now: not after a throw.
        instance = used;
        return value;
      },
    };
  } catch (cause) {
    throw new RemitError('ERR_POLICY_INVALID', `the WebAssembly policy cannot be used: ${messageOf(cause)}`, {
      where,
      hint: `Build it with \`opa build -t wasm -e ${entrypoint}\`, without functions that need their host.`,
      cause,
    });
  }
}

interface Instance {
  evaluate(input: unknown): unknown;
}

function createInstance(module: object, data: unknown, entrypoint: string): Instance {
  const { memory, exports } = instantiate(module);
  const readText = (address: number): string => {
    const bytes = new Uint8Array(memory.buffer, address);
    const end = bytes.subarray(0, LONGEST_TEXT).indexOf(0);
    if (end === -1) throw new Error('a text in it does not end');
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end));
  };
  const readJson = (value: number): unknown => JSON.parse(readText(exports.opa_json_dump(value)));
  const writeJson = (value: unknown): number => {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    const address = exports.opa_malloc(bytes.length);
    new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
    const parsed = exports.opa_json_parse(address, bytes.length);
    if (parsed === 0) throw new Error('it cannot read the JSON');
    return parsed;
  };

  const version = exports.opa_wasm_abi_version.value;
  if (version !== ABI) throw new Error(`its ABI version is ${version}, and ${ABI} is known`);
  const wanted = Object.keys(readJson(exports.builtins()) as object);
  if (wanted.length > 0) throw new Error(`it wants functions of its host: ${wanted.join(', ')}`);
  const entrypoints = readJson(exports.entrypoints()) as Readonly<Record<string, number>>;
  const number = Object.hasOwn(entrypoints, entrypoint) ? entrypoints[entrypoint] : undefined;
  if (number === undefined) {
    throw new Error(`it has no entrypoint ${entrypoint}, but ${Object.keys(entrypoints).join(', ') || 'none'}`);
  }
  const base = writeJson(data);
  const heap = exports.opa_heap_ptr_get();

  return {
    evaluate(input) {
      exports.opa_heap_ptr_set(heap);
      const context = exports.opa_eval_ctx_new();
      exports.opa_eval_ctx_set_input(context, writeJson(input));
      exports.opa_eval_ctx_set_data(context, base);
      exports.opa_eval_ctx_set_entrypoint(context, number);
      if (exports.eval(context) !== 0) throw new Error('it failed');
      // A set of results, each with the value of the rule: none where the rule has no value.
      const results = readJson(exports.opa_eval_ctx_get_result(context));
      if (!Array.isArray(results) || results.length > 1) throw new Error('it gave no one result');
      return (results[0] as { result?: unknown } | undefined)?.result;
    },
  };
}

/** Its memory is ours to give, and how much it starts with only it knows: doubled until it fits. */
function instantiate(module: object): { memory: WasmMemory; exports: Exports } {
  for (let initial = FEWEST_PAGES; ; initial *= 2) {
    const memory = new wasm.Memory({ initial, maximum: MOST_PAGES });
    const refuse = (): never => {
      throw new Error('it wants a function of its host');
    };
    const abort = (): never => {
      throw new Error('it gave up');
    };
    const builtins = Object.fromEntries([0, 1, 2, 3, 4].map((count) => [`opa_builtin${count}`, refuse]));
    const env = { memory, opa_abort: abort, opa_println: () => undefined, ...builtins };
    try {
      const { exports } = new wasm.Instance(module, { env });
      const lacking = NEEDED.filter((name) => typeof exports[name] !== 'function');
      if (lacking.length > 0 || typeof exports.opa_wasm_abi_version !== 'object') {
        throw new Error(`it is no module of OPA’s: ${lacking.join(', ') || 'opa_wasm_abi_version'} is missing`);
      }
      return { memory, exports: exports as unknown as Exports };
    } catch (error) {
      if (!(error instanceof wasm.LinkError) || initial * 2 > MOST_PAGES) throw error;
    }
  }
}
