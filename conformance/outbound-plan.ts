import type { Items } from './gateway.ts';
import { AUTH, type AuthPlan } from './outbound-auth.ts';
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
  /** Where the server wants OAuth. */
  readonly auth?: AuthPlan;
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
  ...AUTH,
];
