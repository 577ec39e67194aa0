import type { Command } from 'commander';
import { reachOf } from '../../compose/connectors/reach.ts';
import type { AuthorizationView } from '../../compose/credentials/connector-authorizations.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { table } from '../output.ts';
import { reachText } from '../reach-text.ts';
import { withWorkspace } from '../with-workspace.ts';
import { addReachCommands } from './connector-reach.ts';
import { addSuspensionCommands } from './suspension.ts';

export function addConnectorCommands(program: Command): void {
  const group = program
    .command('connector')
    .description('what is reachable through connectors; suspend and resume them; authorise Remit at their servers');
  addSuspensionCommands(group, 'connector', 'nothing of it is listed or called, its credentials are revoked');
  addReachCommands(group);
  const ask = async <T>(options: Common, operation: string, given: Readonly<Record<string, string>> = {}): Promise<T> =>
    callAdmin<T>(placesOf(await loadConfig(options.config)).socket, operation, given);

  command<Common & { readonly scope: readonly string[] }>(
    group,
    'authorize <name>',
    'print the address at which its owner authorises Remit, in a browser',
    (c) =>
      c.option(
        '--scope <scope>',
        'ask for this scope; may be repeated',
        (one: string, all: string[]) => [...all, one],
        [],
      ),
    async (output, options, [connector = '']) => {
      // What is given away is more than this one connection (R72).
      const reach = await withWorkspace(options, ({ estate, store }) => reachOf(connector, estate, store));
      output.note(`${reachText(reach)}\n`);
      const begun = await ask<{ url: string; issuer: string; scopes: string[] }>(options, 'authorize-connector', {
        connector,
        scopes: options.scope.join(' '),
      });
      output.result(begun, () =>
        [
          `Open this in a browser on this machine, within ten minutes, as the person who may give ${connector} away:`,
          '',
          `  ${begun.url}`,
          '',
          `${begun.issuer} is asked for ${begun.scopes.length > 0 ? begun.scopes.join(' ') : 'what it gives by itself'}.`,
        ].join('\n'),
      );
    },
  );

  command<Common>(
    group,
    'authorizations',
    'list connectors whose servers want OAuth, and what their owners authorised',
    (c) => c,
    async (output, options) => {
      const { authorizations } = await ask<{ authorizations: AuthorizationView[] }>(options, 'authorizations');
      output.result(authorizations, () =>
        table(
          ['CONNECTOR', 'STATE', 'AT', 'SCOPES', 'SINCE', 'BY', 'MISSING'],
          authorizations.map(({ connector, state, until, issuer, scopes, authorizedAt, authorizedBy, missing }) => [
            connector,
            until === undefined ? state : `${state} until ${until}`,
            issuer ?? '-',
            scopes?.join(' ') || '-',
            authorizedAt ?? '-',
            authorizedBy ?? '-',
            missing?.join(' ') ?? '-',
          ]),
          'No connector has credential.mcpOauth or credential.oauthRefresh.',
        ),
      );
    },
  );

  command<Common>(
    group,
    'deauthorize <name>',
    'take the authorization away: its leases and its refresh token are revoked',
    (c) => c,
    async (output, options, [connector = '']) => {
      const ended = await ask<{ revoked: boolean }>(options, 'deauthorize-connector', { connector });
      output.result({ connector, ...ended }, () =>
        ended.revoked
          ? `${connector}: its authorization is revoked and forgotten`
          : `${connector}: its authorization is forgotten. Its server revokes none: end it there.`,
      );
    },
  );
}
