/**
 * Names of attributes after OpenTelemetry's semantic conventions for MCP and generative AI (status: development). Written out here: what is in
 * development may be renamed under a package's minor version.
 */
export const ATTRIBUTES = {
  method: 'mcp.method.name',
  session: 'mcp.session.id',
  protocolVersion: 'mcp.protocol.version',
  requestId: 'jsonrpc.request.id',
  responseCode: 'rpc.response.status_code',
  operation: 'gen_ai.operation.name',
  tool: 'gen_ai.tool.name',
  prompt: 'gen_ai.prompt.name',
  agent: 'gen_ai.agent.id',
  errorType: 'error.type',
  connector: 'remit.connector',
  item: 'remit.item',
  task: 'remit.task',
  template: 'remit.template',
  lease: 'remit.lease',
  verdict: 'remit.verdict',
  gate: 'remit.gate',
  status: 'remit.status',
  endReason: 'remit.task.end_reason',
} as const;
