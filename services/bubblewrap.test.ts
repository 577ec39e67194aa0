// The suite of the project's own tests, which skips itself where there is no bubblewrap; here there is.
import '../test/upstreams/sandbox.test.ts';
