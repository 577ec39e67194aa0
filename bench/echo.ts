import { answerHandshake, METHOD_NOT_FOUND } from '../harness/answer-handshake.ts';

/** What both echo servers of the benchmark say, over HTTP and over stdio. */

export interface EchoRequest {
  readonly id?: unknown;
  readonly method: string;
  readonly params?: {
    readonly protocolVersion?: string;
    readonly arguments?: { readonly value?: string; readonly bytes?: number; readonly events?: number };
    readonly _meta?: { readonly progressToken?: unknown };
  };
}

const FILLER = 'x'.repeat(200);
const large = new Map<number, string>();

/** `result` or `error` of the answer. */
export function answer({ method, params }: EchoRequest): { result: object } | { error: object } {
  const handshake = answerHandshake('fake-echo', method, params?.protocolVersion);
  if (handshake !== undefined) return handshake;
  switch (method) {
    case 'tools/list':
      return { result: { tools: [TOOL, { ...TOOL, name: 'asked' }] } };
    case 'tools/call':
      return {
        result: {
          content: [{ type: 'text', text: `${params?.arguments?.value ?? ''} ${filler(params?.arguments?.bytes)}` }],
        },
      };
    default:
      return METHOD_NOT_FOUND;
  }
}

const TOOL = {
  name: 'echo',
  description: 'Echo a value.',
  inputSchema: {
    type: 'object',
    properties: {
      value: { type: 'string' },
      call: { type: 'string' },
      bytes: { type: 'integer' },
      events: { type: 'integer' },
    },
    required: ['value'],
  },
};

function filler(bytes: number | undefined): string {
  if (bytes === undefined) return FILLER;
  const text = large.get(bytes) ?? `xxx${'y'.repeat(bytes)}`;
  large.set(bytes, text);
  return text;
}
