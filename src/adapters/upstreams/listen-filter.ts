import { META } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Watch } from '../../seams/upstream.ts';

/** `params.notifications` of `subscriptions/listen` (2026-07-28). */
export function filterOf({ lists, resources }: Watch): JsonObject {
  return {
    ...(lists ? { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true } : {}),
    ...(resources.length > 0 ? { resourceSubscriptions: resources } : {}),
  };
}

/** A notification's params without the tag of its subscription, which is of this hop only. */
export function withoutTag(params: JsonObject, meta: JsonObject): JsonObject {
  const { [META.subscriptionId]: _tag, ...rest } = meta;
  const { _meta, ...others } = params;
  return Object.keys(rest).length === 0 ? others : { ...others, _meta: rest };
}
