/**
 * A module that follows OPA's WebAssembly ABI and stands for a compiled policy, assembled here byte by byte because no OPA can be had where the
 * tests run. `fake/allow` is false of an input whose JSON holds a text; the other entrypoints fail, each in its way.
 */

export interface FakeModuleOptions {
  /** `fake/allow` is false where the input holds this. */
  readonly forbidden?: string;
  /** JSON of the functions that it wants of its host. */
  readonly builtins?: string;
  readonly abi?: number;
  readonly exported?: (name: string) => boolean;
}

const ENTRYPOINTS = {
  'fake/allow': 0,
  'fake/trap': 1,
  'fake/nonsense': 2,
  'fake/undefined': 3,
  'fake/abort': 4,
  'fake/fail': 5,
};

const [I32, FUNC, VOID] = [0x7f, 0x60, 0x40];
/** Numbers of globals. */
const [HEAP, INPUT, SIZE, ENTRYPOINT, RESULT] = [0, 1, 2, 3, 4];
const [GET, SET, LOCAL, STORE, CONST, END, ADD, SUB] = [0x23, 0x24, 0x20, 0x21, 0x41, 0x0b, 0x6a, 0x6b];

/** Bytes of a module. */
export function fakeOpaModule(options: FakeModuleOptions = {}): Uint8Array<ArrayBuffer> {
  const { forbidden = 'secret', builtins = '{}', abi = 1, exported = () => true } = options;
  const data: number[][] = [];
  let free = 1_024;
  const put = (text: string): number => {
    const bytes = [...Buffer.from(text), 0];
    data.push([0, CONST, ...signed(free), END, ...vector(bytes, 1)]);
    free += bytes.length;
    return free - bytes.length;
  };
  const needle = put(forbidden);
  const [yes, no, nonsense, none] = [
    '[{"result":true}]',
    '[{"result":{"allow":false,"reason":"Found."}}]',
    'nonsense',
    '[]',
  ].map(put);
  const returns = (address = 0): number[] => [CONST, ...signed(address), SET, RESULT, CONST, 0, 0x0f];
  const when = (entrypoint: number, body: number[]): number[] => [
    ...[GET, ENTRYPOINT, CONST, ...signed(entrypoint), 0x46, 0x04, VOID],
    ...[...body, END],
  ];
  const evaluate = [
    ...when(ENTRYPOINTS['fake/trap'], [0x00]),
    ...when(ENTRYPOINTS['fake/nonsense'], returns(nonsense)),
    ...when(ENTRYPOINTS['fake/undefined'], returns(none)),
    ...when(ENTRYPOINTS['fake/abort'], [CONST, 0, 0x10, 0]),
    ...when(ENTRYPOINTS['fake/fail'], [CONST, 1, 0x0f]),
    ...find(needle, Buffer.from(forbidden).length, returns(no)),
    ...returns(yes),
    ...[CONST, 0],
  ];
  const functions: [name: string, type: number, locals: number, body: number[]][] = [
    ['entrypoints', 0, 0, [CONST, ...signed(put(JSON.stringify(ENTRYPOINTS)))]],
    ['builtins', 0, 0, [CONST, ...signed(put(builtins))]],
    ['opa_malloc', 1, 0, [GET, HEAP, GET, HEAP, LOCAL, 0, ADD, SET, HEAP]],
    ['opa_json_parse', 2, 0, [LOCAL, 0, SET, INPUT, LOCAL, 1, SET, SIZE, LOCAL, 0]],
    ['opa_json_dump', 1, 0, [LOCAL, 0]],
    ['opa_heap_ptr_get', 0, 0, [GET, HEAP]],
    ['opa_heap_ptr_set', 3, 0, [LOCAL, 0, SET, HEAP]],
    ['opa_eval_ctx_new', 0, 0, [CONST, 1]],
    ['opa_eval_ctx_set_input', 4, 0, []],
    ['opa_eval_ctx_set_data', 4, 0, []],
    ['opa_eval_ctx_set_entrypoint', 4, 0, [LOCAL, 1, SET, ENTRYPOINT]],
    ['opa_eval_ctx_get_result', 1, 0, [GET, RESULT]],
    ['eval', 1, 2, evaluate],
  ];
  const types = [
    [[], [I32]],
    [[I32], [I32]],
    [[I32, I32], [I32]],
    [[I32], []],
    [[I32, I32], []],
  ] as const;
  const imports = [
    [...name('env'), ...name('opa_abort'), 0x00, 3],
    [...name('env'), ...name('memory'), 0x02, 0x00, 2],
  ];
  const global = (isMutable: boolean, value: number) => [I32, isMutable ? 1 : 0, CONST, ...signed(value), END];
  const exports = [
    ...functions.map(([own], index) => ({ own, entry: [...name(own), 0x00, ...unsigned(index + 1)] })),
    { own: 'opa_wasm_abi_version', entry: [...name('opa_wasm_abi_version'), 0x03, 5] },
  ].filter(({ own }) => exported(own));
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      types.map(([from, to]) => [FUNC, ...vector([...from], 1), ...vector([...to], 1)]),
    ),
    ...section(2, imports),
    ...section(
      3,
      functions.map(([, type]) => [type]),
    ),
    ...section(6, [...[16_384, 0, 0, 0, 0].map((value) => global(true, value)), global(false, abi)]),
    ...section(
      7,
      exports.map(({ entry }) => entry),
    ),
    ...section(
      10,
      functions.map(([, , locals, body]) => sized([...(locals > 0 ? [1, locals, I32] : [0]), ...body, END])),
    ),
    ...section(11, data),
  ]);
}

/** Runs `found` where the bytes at `needle` stand anywhere in the input. Locals 1 and 2: where, and how far they agree. */
function find(needle: number, length: number, found: number[]): number[] {
  const [block, loop, branch, branchIf] = [0x02, 0x03, 0x0c, 0x0d];
  const byte = [0x2d, 0, 0];
  const bump = (local: number) => [LOCAL, local, CONST, 1, ADD, STORE, local];
  return [
    ...[block, VOID, loop, VOID],
    // Past the last place where it could begin.
    ...[LOCAL, 1, GET, SIZE, CONST, ...signed(length), SUB, 0x4a, branchIf, 1],
    ...[CONST, 0, STORE, 2, block, VOID, loop, VOID],
    ...[LOCAL, 2, CONST, ...signed(length), 0x4e, 0x04, VOID, ...found, END],
    ...[
      GET,
      INPUT,
      LOCAL,
      1,
      ADD,
      LOCAL,
      2,
      ADD,
      ...byte,
      CONST,
      ...signed(needle),
      LOCAL,
      2,
      ADD,
      ...byte,
      0x47,
      branchIf,
      1,
    ],
    ...[...bump(2), branch, 0, END, END],
    ...[...bump(1), branch, 0, END, END],
  ];
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

const sized = (bytes: number[]): number[] => [...unsigned(bytes.length), ...bytes];
const name = (text: string): number[] => sized([...Buffer.from(text)]);
const vector = (bytes: number[], each: number): number[] => [...unsigned(bytes.length / each), ...bytes];
const section = (id: number, entries: readonly (readonly number[])[]): number[] => [
  id,
  ...sized([...unsigned(entries.length), ...entries.flat()]),
];

/** The module as `opa build` would pack it, but for gzip: a tar whose names have a slash before. */
export const fakeOpaBundle = (options: FakeModuleOptions = {}): Buffer =>
  packTar({ '/data.json': '{}', '/policy.wasm': fakeOpaModule(options) });

/** A tar (POSIX ustar, as far as it is read) with these files. */
export function packTar(files: Readonly<Record<string, Uint8Array | string>>): Buffer {
  const blocks = Object.entries(files).flatMap(([path, content]) => {
    const bytes = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write(bytes.length.toString(8).padStart(11, '0'), 124);
    header.write('0', 156);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
