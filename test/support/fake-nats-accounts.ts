/**
 * FAKE: what NATS servers keep of one account, behind the issuer's own seam to them: they give its JWT, and take another in its place, whoever
 * signed it, without comparing. Several admins share it, as gateways do. No wire, no connections; `npm run services` has the real
 * ones. Never a part of the product.
 */
import type { Account } from '@nats-io/jwt';
import { createAccount, createOperator } from '@nats-io/nkeys';
import type { NatsAdmin } from '../../src/adapters/issuers/nats-admin.ts';
import { readJwt, signJwt } from '../../src/adapters/issuers/nats-jwt.ts';
import { type Nkey, nkeyOf } from '../../src/adapters/issuers/nkey.ts';
import { Secret } from '../../src/domain/secret.ts';

export interface FakeNatsAccounts {
  readonly operator: Nkey;
  readonly signing: Nkey;
  readonly account: string;
  /** As the servers have it now. */
  jwt: string;
  readonly pushes: readonly string[];
  /** Called before a push is taken: what happens in between. */
  beforePush: (() => Promise<void> | void) | undefined;
  /** Called once a push was taken: somebody who read before it writes. */
  afterPush: (() => void) | undefined;
  readonly revoked: () => Readonly<Record<string, number>>;
  /** An admin whose gateway hears what others push. */
  admin(onPush: (jwt: string | undefined) => void): NatsAdmin;
}

const secretOf = (pair: { getSeed(): Uint8Array }): Secret => new Secret(pair.getSeed());

export async function createFakeNatsAccounts(revocations: Record<string, number> = {}): Promise<FakeNatsAccounts> {
  const operator = nkeyOf(secretOf(createOperator()), 'O', 'operator');
  const signing = nkeyOf(secretOf(createOperator()), 'O', 'signing');
  const account = createAccount().getPublicKey();
  const operatorJwt = await signJwt(
    { name: 'o', sub: operator.publicKey, aud: 'NATS', nats: { type: 'operator', signing_keys: [signing.publicKey] } },
    operator,
  );
  const listeners: { own: NatsAdmin; hear: (jwt: string) => void }[] = [];
  const pushes: string[] = [];
  const fake: FakeNatsAccounts = {
    operator,
    signing,
    account,
    jwt: await signJwt(
      { name: 'a', sub: account, aud: 'NATS', nats: { type: 'account', revocations, description: 'kept' } },
      operator,
    ),
    pushes,
    beforePush: undefined,
    afterPush: undefined,
    revoked: () => readJwt<Account>(fake.jwt).nats.revocations ?? {},
    admin(onPush) {
      const admin: NatsAdmin = {
        where: 'fake',
        lookUp: async () => fake.jwt,
        lookUpOperators: async () => [operatorJwt],
        async push(jwt) {
          await fake.beforePush?.();
          fake.jwt = jwt;
          pushes.push(jwt);
          fake.afterPush?.();
          for (const { own, hear } of listeners) if (own !== admin) hear(jwt);
        },
        drop: () => {},
        close: async () => {},
      };
      listeners.push({ own: admin, hear: onPush });
      return admin;
    },
  };
  return fake;
}
