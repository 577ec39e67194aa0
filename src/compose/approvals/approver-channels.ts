import { createOidcSignIn } from '../../adapters/authn/oidc-sign-in.ts';
import { createWebhookNotifier } from '../../adapters/notifiers/webhook-notifier.ts';
import type { Notifier } from '../../seams/notifier.ts';
import type { CarriedValues, SignIn } from '../../seams/sign-in.ts';
import { guardedFetch } from '../guarded-fetches.ts';
import type { Workspace } from '../workspace.ts';

/** Where it is told that an approval waits. @throws `ERR_SECRET_MISSING` */
export function buildNotifiers({ config, vault }: Workspace): Promise<Notifier[]> {
  return Promise.all(
    config.approvals.notify.map(async ({ url: secret, format, to, allowPrivateNetwork }) => {
      const url = await vault.get(secret);
      return createWebhookNotifier({ url, format, to, fetch: guardedFetch(url.reveal(), allowPrivateNetwork) });
    }),
  );
}

/** Where approvers sign in; undefined where nothing is configured. @throws `ERR_SECRET_MISSING` */
export async function buildSignIn(
  { config, vault }: Workspace,
  url: () => string,
  carried: CarriedValues,
): Promise<SignIn | undefined> {
  const { signIn } = config.approvals;
  if (signIn === undefined) return undefined;
  const { issuer, clientId, clientSecret, scopes, groupsClaim, allowPrivateNetwork } = signIn;
  return createOidcSignIn({
    issuer,
    clientId,
    clientSecret: clientSecret === undefined ? undefined : await vault.get(clientSecret),
    scopes,
    groupsClaim,
    fetch: guardedFetch(issuer, allowPrivateNetwork),
    redirectUri: () => `${url()}/approvals/oidc/callback`,
    carried,
  });
}
