import type { Items } from './gateway.ts';
import type { Revision } from './suite.ts';

/** A client scenario that the gateway's upstream side is put through, and what an agent has to do so that it happens. */
export interface OutboundScenario {
  readonly scenario: string;
  readonly revisions: readonly Revision[];
  /**
   * What the scenario's server offers, as its owner would describe it. Tools that a client must refuse are described, too: it is the
   * gateway that has to leave them out, not the owner.
   */
  readonly items: Partial<Items>;
}

const BOTH: readonly Revision[] = ['2025-11-25', '2026-07-28'];
const LEGACY: readonly Revision[] = ['2025-11-25'];
const MODERN: readonly Revision[] = ['2026-07-28'];

export const INVALID_TOOLS = [
  'invalid_empty_header',
  'invalid_object_header',
  'invalid_array_header',
  'invalid_null_header',
  'invalid_number_header',
  'invalid_duplicate_same_case',
  'invalid_duplicate_diff_case',
  'invalid_space_in_name',
  'invalid_colon_in_name',
  'invalid_non_ascii_name',
  'invalid_control_char_name',
];

export const OUTBOUND: readonly OutboundScenario[] = [
  { scenario: 'initialize', revisions: LEGACY, items: {} },
  { scenario: 'tools_call', revisions: BOTH, items: { tools: ['add_numbers'] } },
  {
    scenario: 'elicitation-sep1034-client-defaults',
    revisions: LEGACY,
    items: { tools: ['test_client_elicitation_defaults'] },
  },
  { scenario: 'sse-retry', revisions: LEGACY, items: { tools: ['test_reconnection'] } },
  { scenario: 'request-metadata', revisions: MODERN, items: {} },
  {
    scenario: 'http-standard-headers',
    revisions: MODERN,
    items: {
      tools: ['test_headers', 'my-hyphenated-tool'],
      resources: ['file:///path/**', 'https://example.com/**'],
      prompts: ['test_prompt'],
    },
  },
  {
    scenario: 'http-custom-headers',
    revisions: MODERN,
    items: { tools: ['test_custom_headers', 'test_custom_headers_null'] },
  },
  { scenario: 'http-invalid-tool-headers', revisions: MODERN, items: { tools: ['valid_tool', ...INVALID_TOOLS] } },
  { scenario: 'json-schema-ref-no-deref', revisions: MODERN, items: { tools: ['lookup_user'] } },
  {
    scenario: 'json-schema-2020-12-preservation',
    revisions: BOTH,
    items: { tools: ['json_schema_2020_12_tool', 'json_schema_echo'] },
  },
  {
    scenario: 'sep-2322-client-request-state',
    revisions: MODERN,
    items: {
      tools: ['test_mrtr_echo_state', 'test_mrtr_no_state', 'test_mrtr_unrelated', 'test_mrtr_no_result_type'],
    },
  },
];

/**
 * Why a scored client scenario is not run. All of them want the client to obtain its own token from an authorization server by way of a
 * user's browser; a connector of Remit gets its credential from a lease (vault or issuer), and never follows a server's challenge.
 */
export function whyNotRun(scenario: string): string | undefined {
  if (!scenario.startsWith('auth/')) return undefined;
  return AUTH_NEEDS.find(([prefix]) => scenario.startsWith(prefix))?.[1] ?? 'needs outbound OAuth';
}

const AUTH_NEEDS: readonly (readonly [string, string])[] = [
  ['auth/metadata-issuer-mismatch', 'needs outbound OAuth: metadata whose issuer is another one is refused'],
  ['auth/metadata-', 'needs outbound OAuth: discovery of the authorization server (RFC 9728, RFC 8414, OIDC)'],
  ['auth/basic-cimd', 'needs outbound OAuth: a client id metadata document'],
  ['auth/scope-', 'needs outbound OAuth: scopes from the challenge or metadata, step-up, a limit of retries'],
  ['auth/token-endpoint-auth-', 'needs outbound OAuth: client authentication at the token endpoint'],
  ['auth/pre-registration', 'needs outbound OAuth: a registered client id and secret for a connector'],
  ['auth/resource-mismatch', 'needs outbound OAuth: the resource indicator is checked (RFC 8707)'],
  ['auth/offline-access-', 'needs outbound OAuth: refresh tokens'],
  ['auth/authorization-server-migration', 'needs outbound OAuth: credentials kept by issuer'],
  ['auth/iss-', 'needs outbound OAuth: the issuer in the authorization response is checked (RFC 9207)'],
];
