/** A server of both eras, written with the official SDK, as a stdio server of somebody else would be. */
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

serveStdio(
  () => {
    const server = new McpServer(
      { name: 'sdk', version: '1.0.0' },
      { capabilities: { tools: { listChanged: true }, logging: {} } },
    );
    let hasGrown = false;
    server.registerTool('grow', { description: 'Adds a tool.' }, () => {
      if (!hasGrown) server.registerTool('extra', { description: 'Was added.' }, () => ({ content: [] }));
      hasGrown = true;
      return { content: [{ type: 'text', text: 'grown' }] };
    });
    return server;
  },
  process.env.SDK_LEGACY === undefined ? {} : { legacy: process.env.SDK_LEGACY },
);
