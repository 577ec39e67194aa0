// The tests of the project's own that speak with a real oidc-provider, rotation and detection of reuse included.
import '../test/issuers/mcp-oauth/real-provider.test.ts';
