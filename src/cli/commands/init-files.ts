import type { Strictness } from '../../domain/strictness.ts';

/** Text of what `remit init` writes. The configuration must validate as it stands, and work once `workspace/` exists. */
export function starterConfig(ownerName: string, strictness: Strictness): string {
  // JSON is YAML: in quotes, a name stays one name whatever is in it, inside braces too.
  const owner = /^[A-Za-z][\w.+-]*@[\w.-]+$/.test(ownerName) ? ownerName : JSON.stringify(ownerName);
  return `# yaml-language-server: $schema=./remit.schema.json
# Remit's configuration. Unknown keys are errors. Every path starts from this file's folder.
version: 1
environment: dev
strictness: ${strictness}

# One port on loopback, for agents. Administration goes over a socket in the data folder.
listen:
  host: 127.0.0.1
  port: 7420

# Store, journal and vault key. Keep it out of version control and out of reach of others.
data: .remit

# store:
#   kind: postgres                 # the default is an SQLite file in the data folder
#   urlVariable: REMIT_STORE_URL

# Whose word on users is taken. An agent brings the user's own token; without one, a task has no user.
# identityProviders:
#   - issuer: https://login.example.com
#     audience: https://remit.example.com

# Every agent has one owner and proves itself with a key of its own: \`remit agent keygen NAME\`.
agents:
  my-agent:
    owner: ${owner}
    publicKeys: agents/my-agent.jwks.json

# Connectors are MCP servers. Neither agents nor models see their credentials.
connectors:
  files:
    owner: ${owner}
    transport:
      stdio:
        # npx is for trying things out: it asks the registry at every start. Install a server and name its file instead:
        #   command: [node, node_modules/@modelcontextprotocol/server-filesystem/dist/index.js, ./workspace]
        command: [npx, -y, "@modelcontextprotocol/server-filesystem@2026.8.31", ./workspace]
        environment: { npm_config_cache: .remit/npm-cache }
    # A tool without an approved profile is not callable. See what there is, and describe more of it, with
    #   remit tool ls        and        remit tool describe --all files
    tools:
      read_text_file:
        class: read
        arguments: { path: path }
        approvedBy: ${owner}
      list_directory:
        class: read
        arguments: { path: path }
        approvedBy: ${owner}

  # A database: each task gets a role of its own, with rights on the tables it names, gone when the task ends.
  # shop_db:
  #   owner: ${owner}
  #   transport:
  #     stdio:
  #       command: [npx, -y, "@modelcontextprotocol/server-postgres@0.6.2", "postgresql://127.0.0.1:5432/shop"]
  #   credential:
  #     postgres: { host: 127.0.0.1, port: 5432, database: shop, adminUser: remit_admin, adminPassword: shop_admin }
  #     ttlSeconds: 300
  #   tools:
  #     query: { class: read, arguments: { sql: string }, approvedBy: ${owner} }

  # A server that knows only a long-lived token: allowed under an exception with an end, and shown as one.
  # crm:
  #   owner: ${owner}
  #   transport:
  #     http: { url: "https://crm.example.com/mcp" }
  #   credential:
  #     static:
  #       secret: crm_token        # remit secret put crm_token < token.txt
  #       exception:
  #         owner: ${owner}
  #         reason: "the vendor has no OAuth yet"
  #         expires: "2027-02-28T00:00:00Z"
  #         controls: { tools: [get_customer], callsPerMinute: 60, callsPerMinutePerTask: 30 }
  #   tools:
  #     get_customer: { class: read, arguments: { id: string }, approvedBy: ${owner} }

# Upper bounds that an owner approved. A task is declared within one and may only be narrower.
templates:
  read-files:
    owner: ${owner}
    purpose: Read files of the workspace
    agents: [my-agent]
    classes: [read]
    tools: [files/read_text_file, files/list_directory]
    calls: 200
    maxDurationSeconds: 3600
`;
}
