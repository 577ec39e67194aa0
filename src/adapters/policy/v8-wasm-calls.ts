import { setFlagsFromString } from 'node:v8';

// Imported before the Cedar module, for its effect. V8 11.3 (Node 20) can abort the whole process with "unreachable
// code" when it lazily deoptimises an optimised caller inside an inlined JS→wasm call that returns an externref, which
// every Cedar call is. Keeping those calls out of line cures it. NODE_OPTIONS does not accept the flag, so it is set here.
if (process.versions.node.startsWith('20.')) setFlagsFromString('--no-turbo-inline-js-wasm-calls');

// V8 optimises what runs often. Reading and validating policies at the start is enough to optimise Cedar's parser, whose functions are so large that
// it takes 40 MiB, which are never given back, for what is not run again. With this budget some ten thousand questions optimise what answers them.
setFlagsFromString('--wasm-tiering-budget=2000000000');
