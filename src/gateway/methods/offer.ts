import type { ConnectorId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../stages/authenticate.ts';

const INSTRUCTIONS =
  'Every call is decided on for the task that this session was started for. A denied call says why and what to do next; calling again unchanged will not help.';

/**
 * What the gateway offers on a path, to clients of either era: what connectors have that their owners have described. It tells no more than
 * that; lists and calls are decided on by themselves. Ask for it anew at each handshake.
 * @returns MCP `ServerCapabilities` with the members of both eras
 */
export function offer(
  { catalogue }: Gateway,
  _caller: Caller,
  scope: ConnectorId | undefined,
): { readonly capabilities: JsonObject; readonly instructions: string } {
  const isOffered = ({ connector, status }: GovernedTool): boolean =>
    status === 'described' && (scope === undefined || connector === scope);
  const tools = catalogue.tools().filter(isOffered);
  const hasResources = catalogue.resources().some(isOffered);
  const hasPrompts = catalogue.prompts().some(isOffered);
  return {
    capabilities: {
      // Offered even when there is none: clients that know only tools ask without looking.
      tools: { listChanged: true },
      ...(hasResources && { resources: { subscribe: true, listChanged: true } }),
      ...(hasPrompts && { prompts: { listChanged: true } }),
      ...((hasResources || hasPrompts) && { completions: {} }),
      logging: {},
      ...(tools.some(takesMcpTasks) && { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } }),
      ...(tools.length > 0 && { extensions: { 'io.modelcontextprotocol/tasks': {} } }),
    },
    instructions: INSTRUCTIONS,
  };
}

/** 2025-11-25: a tool says whether it may be called as an McpTask. */
function takesMcpTasks({ definition }: GovernedTool): boolean {
  const { execution } = definition.raw;
  return isJsonObject(execution) && (execution.taskSupport === 'optional' || execution.taskSupport === 'required');
}
