import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import type { Clock } from '../../seams/clock.ts';
import type { OAuthRepository } from '../../seams/store.ts';
import { OAuthRefusal, orUnavailable } from './oauth-refusal.ts';

/**
 * The store as oidc-provider's adapter. Agents are configured, so `Client` is never looked up in the store: a row there
 * could otherwise add a client. Access tokens are JWTs and not stored; what is stored is `ReplayDetection`, the ids of
 * used client assertions.
 */
export function createOAuthAdapter(repository: OAuthRepository, clock: Clock): AdapterFactory {
  const seconds = (): number => Math.floor(clock() / 1000);
  return (model): Adapter => {
    const isReplay = model === 'ReplayDetection';
    return {
      async upsert(id, payload, expiresIn) {
        const expiresAt = expiresIn === undefined ? undefined : seconds() + Math.ceil(expiresIn);
        await orUnavailable(() => repository.upsert(model, id, payload, expiresAt));
        // oidc-provider looks an assertion's id up and then saves it, so two requests that carry the same assertion at
        // once would both pass. Consuming is atomic, and a row that is written over stays consumed: only one wins.
        if (isReplay && !(await orUnavailable(() => repository.consume(model, id, seconds())))) {
          throw new OAuthRefusal('invalid_client', 'client assertion tokens must only be used once');
        }
      },
      async find(id) {
        if (model === 'Client') return undefined;
        const row = await orUnavailable(() => repository.find(model, id, seconds()));
        return row && toPayload(row);
      },
      async findByUid(uid) {
        const row = await repository.findByUid(model, uid, seconds());
        return row && toPayload({ payload: row.payload, consumedAt: undefined });
      },
      // The device flow is off: nothing has a user code.
      findByUserCode: async () => undefined,
      async consume(id) {
        await repository.consume(model, id, seconds());
      },
      async destroy(id) {
        await repository.destroy(model, id);
      },
      async revokeByGrantId(grantId) {
        await repository.revokeByGrantId(model, grantId);
      },
    };
  };
}

function toPayload(row: { payload: object; consumedAt: number | undefined }): AdapterPayload {
  const payload = row.payload as AdapterPayload;
  return row.consumedAt === undefined ? payload : { ...payload, consumed: row.consumedAt };
}
