import { RemitError } from '../domain/errors.ts';
import type { AuthZen } from '../http/authzen/serve-authzen.ts';
import type { Workspace } from './workspace.ts';

const SHORTEST = 32;

/** Who else may ask for decisions; undefined where there is none. @throws `ERR_SECRET_MISSING`, `ERR_CONFIG_INVALID` */
export async function readEnforcementPoints({ config, vault }: Workspace): Promise<AuthZen['points'] | undefined> {
  const configured = Object.entries(config.policy.enforcementPoints);
  if (configured.length === 0) return undefined;
  const points = await Promise.all(
    configured.map(async ([name, { token }]) => ({ name, token: await vault.get(token) })),
  );
  for (const { name, token } of points) {
    const isShared = points.some((other) => other.name !== name && other.token.reveal() === token.reveal());
    if (token.reveal().length >= SHORTEST && !isShared) continue;
    throw new RemitError(
      'ERR_CONFIG_INVALID',
      `the token of the enforcement point ${name} is ${isShared ? 'another’s, too' : `shorter than ${SHORTEST} characters`}`,
      {
        where: `policy.enforcementPoints.${name}.token`,
        hint: 'Store another one, for example of `openssl rand -hex 32`.',
      },
    );
  }
  return points;
}
