import type { Failure } from '../domain/errors.ts';
import type { Catalogue } from '../inventory/catalogue.ts';

export interface RunningGateway {
  /** Why nothing is served and credentials are only revoked (A4); left out while the gateway serves. */
  readonly revokeOnly?: string;
  /** What a person does about that. */
  readonly wayOn?: string;
  /** Base URL; the MCP endpoint is `<url>/mcp`. */
  readonly url: string;
  /** Where it listens, where that is not `url` (`publicUrl`). */
  readonly listens?: string;
  readonly tools: number;
  readonly undescribed: number;
  /** Connectors that could not be listed at the start, for people. */
  readonly problems: readonly string[];
  /** Resolves when the gateway can serve no more. */
  readonly failed: Promise<Failure>;
  close(): Promise<void>;
}

/** Why connectors could not be listed, a line each. */
export const problemsIn = (catalogue: Pick<Catalogue, 'problems'>): string[] =>
  [...catalogue.problems()].map(([connector, error]) => `${connector}: ${error.message}`);

/** What whoever started a gateway that serves is told of it. */
export function describeRunning(
  catalogue: Pick<Catalogue, 'problems' | 'tools'>,
  { listens, ...running }: Pick<RunningGateway, 'url' | 'failed' | 'close'> & { readonly listens: string },
): RunningGateway {
  const all = catalogue.tools();
  const tools = all.filter((tool) => tool.status === 'described').length;
  return {
    ...running,
    ...(listens !== running.url && { listens }),
    tools,
    undescribed: all.length - tools,
    problems: problemsIn(catalogue),
  };
}
