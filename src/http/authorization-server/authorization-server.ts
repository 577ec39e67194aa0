import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { RemitError } from '../../domain/errors.ts';
import type { AgentClient } from './agent-clients.ts';
import { PATHS } from './metadata.ts';
import { loadOidcLibrary } from './oidc-library.ts';
import { createProvider, type ProviderOptions } from './provider.ts';
import { quietStorage } from './quiet-storage.ts';

export interface AuthorizationServer {
  /** Serves the paths that `handles` names; answers 404 for any other. */
  readonly callback: (request: IncomingMessage, response: ServerResponse) => void;
  /** Whether a path (no query) belongs to this server. */
  handles(pathname: string): boolean;
  /** Takes up another set of agents for every request from now on. @throws `ERR_AGENT_KEY`, the old set then stays */
  rebuild(agents: readonly AgentClient[]): void;
}

const SERVED: ReadonlySet<string> = new Set(Object.values(PATHS));

/**
 * The OAuth 2.0 authorization server of the gateway: agents in (`private_key_jwt`), task tokens out. It follows the
 * signing keys by itself; requests under way finish on the instance that they began on.
 *
 * oidc-provider reads the system's time for client assertions and cannot be given another; everything of ours (tokens,
 * tasks, replay rows) goes by `options.clock`.
 *
 * @throws `ERR_CONFIG_INVALID` for an issuer that is not a bare origin or a token life out of bounds, `ERR_AGENT_KEY`
 */
export async function createAuthorizationServer(options: ProviderOptions): Promise<AuthorizationServer> {
  checkOptions(options);
  const { library, isRuntimeUntested, storage } = await loadOidcLibrary();
  if (isRuntimeUntested)
    options.log.debug({ node: process.version }, 'oidc-provider is developed for Node 22 and later');

  if (storage === undefined)
    options.log.debug({}, 'the storage of oidc-provider was not found: calls cost a little more');
  const watch = storage && quietStorage(storage);

  let { agents } = options;
  const build = (): RequestListener =>
    createProvider(library, { ...options, agents }).callback() as unknown as RequestListener;
  let handle = build();
  options.signingKeys.onChange(() => {
    handle = build();
  });

  return {
    callback(request, response) {
      const pathname = (request.url ?? '').split('?', 1)[0] ?? '';
      // oidc-provider has more routes than agents need, and none of them is reachable.
      if (!SERVED.has(pathname)) return answerError(response, 404, 'invalid_request', 'no such endpoint');
      if (pathname === PATHS.authorization) {
        return answerError(response, 400, 'unsupported_response_type', 'agents get tokens at the token endpoint only');
      }
      if (pathname === PATHS.token && request.method !== 'POST' && request.method !== 'OPTIONS') {
        response.setHeader('Allow', 'POST');
        return answerError(response, 405, 'invalid_request', 'the token endpoint takes POST');
      }
      // The library's promise, which its type does not tell: it is done when the handling is.
      const handling: unknown = handle(request, response);
      watch?.(handling);
    },
    handles: (pathname) => SERVED.has(pathname),
    rebuild(next) {
      const before = agents;
      agents = next;
      try {
        handle = build();
      } catch (error) {
        agents = before;
        throw error;
      }
    },
  };
}

function checkOptions({ issuer, resource, tokenSeconds }: ProviderOptions): void {
  if (!URL.canParse(issuer) || new URL(issuer).origin !== issuer) {
    throw new RemitError('ERR_CONFIG_INVALID', `the issuer '${issuer}' is not a bare origin`, {
      where: 'publicUrl',
      hint: 'Give scheme, host and port only, for example https://remit.example.com.',
    });
  }
  if (!URL.canParse(resource) || new URL(resource).hash !== '' || new URL(resource).origin !== issuer) {
    throw new RemitError('ERR_CONFIG_INVALID', `the resource '${resource}' is not a URL of the issuer`, {
      where: 'publicUrl',
    });
  }
  if (!Number.isSafeInteger(tokenSeconds) || tokenSeconds < 1 || tokenSeconds > 600) {
    throw new RemitError('ERR_CONFIG_INVALID', 'a task token lives 1 to 600 seconds', { where: 'tokenSeconds' });
  }
}

function answerError(response: ServerResponse, status: number, error: string, description: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify({ error, error_description: description }));
}
