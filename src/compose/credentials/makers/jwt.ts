import { createJwtIssuer } from '../../../adapters/issuers/jwt-issuer.ts';
import { RemitError } from '../../../domain/errors.ts';
import type { EstateConnector } from '../../estate.ts';
import type { IssuerMaker } from './maker.ts';

export const makeJwtIssuer: IssuerMaker<'jwt'> = async (settings, { workspace, tokens, connector }) => {
  const { scopes, audience = urlOf(connector) } = settings;
  const { clock } = workspace.system;
  return { issuer: createJwtIssuer({ audience, scopes, sign: (claims, type) => tokens.sign(claims, type), clock }) };
};

/** What a server that is reached over HTTP is known by (MCP authorization: the audience is the server's own URL). */
function urlOf({ id, config: { transport } }: EstateConnector): string {
  if ('http' in transport) return transport.http.url;
  if ('sse' in transport) return transport.sse.url;
  throw new RemitError('ERR_CONFIG_INVALID', `connector ${id}: whom is the token for?`, {
    where: `connectors.${id}.credential.jwt.audience`,
    hint: 'Name it: a stdio server has no URL.',
  });
}
