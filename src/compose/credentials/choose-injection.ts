import type { CredentialKind } from '../../config/credential-schema.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import type { CredentialCarrier } from '../../leases/lease-modes.ts';
import { DEFAULT_TEMPLATES, type InjectionTemplates } from '../../leases/render-injection.ts';

type Inject = NonNullable<ConnectorConfig['credential']>['inject'];

/**
 * Where a connector's credential goes: as configured, or as its kind has it by default.
 * @throws `ERR_CONFIG_INVALID` for a place that the connector's transport does not have, and where there is none
 */
export function chooseInjection(
  connector: ConnectorId,
  carrier: CredentialCarrier,
  kind: CredentialKind,
  inject: Inject,
): InjectionTemplates {
  const where = `connectors.${connector}.credential.inject`;
  const isStdio = carrier === 'stdio';
  const ofProcess = [inject.environment, inject.descriptors, inject.arguments].flatMap((place) => Object.keys(place));
  const ofRequests = Object.keys(inject.headers);
  if ((isStdio ? ofRequests : ofProcess).length > 0) {
    throw new RemitError(
      'ERR_CONFIG_INVALID',
      `connector ${connector}: a ${carrier} server takes its credential in ${isStdio ? 'environment variables, or file descriptors' : 'headers'}`,
      { where, hint: `Use ${isStdio ? 'inject.environment or inject.descriptors' : 'inject.headers'}.` },
    );
  }
  if ((isStdio ? ofProcess : ofRequests).length > 0) return inject;
  const usual = DEFAULT_TEMPLATES[kind];
  if (Object.keys(isStdio ? usual.environment : usual.headers).length > 0) return usual;
  throw new RemitError(
    'ERR_CONFIG_INVALID',
    `connector ${connector}: which ${isStdio ? 'environment variable' : 'header'} takes the credential?`,
    {
      where,
      hint: isStdio
        ? 'Name it, for example inject: { environment: { API_TOKEN: "{token}" } }.'
        : 'Name it, for example inject: { headers: { Authorization: "Basic {password}" } }.',
    },
  );
}
