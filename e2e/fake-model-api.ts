/**
 * fake-model-api: a scripted language model on loopback, for agents that need one: whoever asks first is told to call a tool, and whoever
 * brings the tool's result is told to repeat it. Speaks the three wire formats that the agents under test use. Listed in docs/fakes.md.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeModelApi {
  readonly url: string;
  /** What tools the agent offered to the model: names, of all requests. */
  readonly offered: () => readonly string[];
  close(): Promise<void>;
}

interface Script {
  /** Part of the name of the tool to call, as the agent offers it. */
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

interface Asked {
  readonly tools: readonly string[];
  /** Text of a tool's result, once there is one. */
  readonly result: string | undefined;
}

export async function startFakeModelApi(script: Script): Promise<FakeModelApi> {
  const offered = new Set<string>();
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (request.method !== 'POST' || chunks.length === 0) return json(response, { data: [], object: 'list' });
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Body;
    if (path.endsWith('/count_tokens')) return json(response, { input_tokens: 1 });
    const format = path.endsWith('/messages') ? MESSAGES : path.endsWith('/responses') ? RESPONSES : CHAT;
    const asked = format.read(body);
    for (const name of asked.tools) offered.add(name);
    const tool = asked.tools.find((name) => name.includes(script.tool));
    const text = asked.result === undefined ? 'No such tool.' : `The tool said: ${asked.result}`;
    const events = asked.result === undefined && tool !== undefined ? format.call(tool, script.args) : format.say(text);
    if (body.stream !== true) return json(response, format.whole(events));
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const event of events) {
      response.write(
        `${event.event === undefined ? '' : `event: ${event.event}\n`}data: ${JSON.stringify(event.data)}\n\n`,
      );
    }
    response.end(format === CHAT ? 'data: [DONE]\n\n' : undefined);
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    offered: () => [...offered],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Body {
  readonly stream?: boolean;
  readonly tools?: readonly {
    readonly name?: string;
    readonly tools?: readonly { name: string }[];
    readonly function?: { name: string };
  }[];
  readonly messages?: readonly { readonly role: string; readonly content: unknown }[];
  readonly input?: readonly { readonly type?: string; readonly output?: unknown }[];
}

interface Event {
  readonly event?: string;
  readonly data: object;
}

interface Format {
  read(body: Body): Asked;
  call(tool: string, args: object): readonly Event[];
  say(text: string): readonly Event[];
  /** The answer to a request that does not stream. */
  whole(events: readonly Event[]): object;
}

const typed = (data: { readonly type: string; readonly [member: string]: unknown }): Event => ({
  event: data.type,
  data,
});
const json = (response: ServerResponse, value: object): void => {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
};
const textIn = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** Anthropic's Messages API. */
const MESSAGES: Format = {
  read({ tools = [], messages = [] }) {
    const parts = messages.flatMap(({ content }) =>
      Array.isArray(content) ? (content as { type?: string; content?: unknown }[]) : [],
    );
    const result = parts.findLast((part) => part.type === 'tool_result');
    return { tools: tools.map(({ name = '' }) => name), result: result && textIn(result.content) };
  },
  call: (tool, args) =>
    message('tool_use', [
      {
        type: 'content_block_start',
        index: 0,
        content_block: { type: 'tool_use', id: 'toolu_1', name: tool, input: {} },
      },
      {
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'input_json_delta', partial_json: JSON.stringify(args) },
      },
    ]),
  say: (text) =>
    message('end_turn', [
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
    ]),
  whole: (events) => {
    const start = events.find(({ event }) => event === 'content_block_start')?.data as { content_block: object };
    return { ...MESSAGE, stop_reason: 'end_turn', content: [{ ...start.content_block, text: 'ok' }] };
  },
};

const USAGE = { input_tokens: 1, output_tokens: 1 };
const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'fake',
  content: [],
  stop_sequence: null,
  usage: USAGE,
};

function message(reason: string, middle: readonly { type: string; [member: string]: unknown }[]): readonly Event[] {
  return [
    typed({ type: 'message_start', message: { ...MESSAGE, stop_reason: null } }),
    ...middle.map(typed),
    typed({ type: 'content_block_stop', index: 0 }),
    typed({ type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: 1 } }),
    typed({ type: 'message_stop' }),
  ];
}

/** OpenAI's Responses API. Tools of a server may come as a namespace that holds them. */
const RESPONSES: Format = {
  read({ tools = [], input = [] }) {
    const result = input.findLast(({ type }) => type === 'function_call_output');
    const names = tools.flatMap(
      (tool) => tool.tools?.map(({ name }) => `${tool.name ?? ''}\u0000${name}`) ?? [tool.name ?? ''],
    );
    return { tools: names, result: result && textIn(result.output) };
  },
  call: (tool, args) => {
    const [namespace = '', name] = tool.split('\u0000');
    return response({
      type: 'function_call',
      id: 'fc_1',
      call_id: 'call_1',
      ...(name === undefined ? { name: namespace } : { name, namespace }),
      arguments: JSON.stringify(args),
      status: 'completed',
    });
  },
  say: (text) =>
    response({
      type: 'message',
      id: 'msg_1',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text, annotations: [] }],
    }),
  whole: (events) => events.at(-1)?.data ?? {},
};

function response(item: object): readonly Event[] {
  const done = {
    id: 'resp_1',
    object: 'response',
    status: 'completed',
    output: [item],
    usage: { ...USAGE, total_tokens: 2 },
  };
  return [
    typed({ type: 'response.created', response: { ...done, status: 'in_progress', output: [] } }),
    typed({ type: 'response.output_item.added', output_index: 0, item }),
    typed({ type: 'response.output_item.done', output_index: 0, item }),
    typed({ type: 'response.completed', response: done }),
  ];
}

/** OpenAI's Chat Completions API, which most other agents speak. */
const CHAT: Format = {
  read({ tools = [], messages = [] }) {
    const result = messages.findLast(({ role }) => role === 'tool');
    return { tools: tools.map((tool) => tool.function?.name ?? ''), result: result && textIn(result.content) };
  },
  call: (tool, args) => [
    chunk(
      {
        role: 'assistant',
        tool_calls: [
          { index: 0, id: 'call_1', type: 'function', function: { name: tool, arguments: JSON.stringify(args) } },
        ],
      },
      null,
    ),
    chunk({}, 'tool_calls'),
  ],
  say: (text) => [chunk({ role: 'assistant', content: text }, null), chunk({}, 'stop')],
  whole: (events) => {
    const [first] = events as readonly { readonly data: { readonly choices?: readonly { delta: object }[] } }[];
    const delta = first?.data.choices?.[0]?.delta;
    return {
      id: 'chat_1',
      object: 'chat.completion',
      model: 'fake',
      choices: [{ index: 0, message: delta, finish_reason: 'stop' }],
      usage: USAGE,
    };
  },
};

const chunk = (delta: object, reason: string | null): Event => ({
  data: {
    id: 'chat_1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'fake',
    choices: [{ index: 0, delta, finish_reason: reason }],
  },
});
