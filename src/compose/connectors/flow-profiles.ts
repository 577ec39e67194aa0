import type { ProfileFlowConfig, TemplateFlowConfig } from '../../config/flow-schema.ts';
import type { FlowProfile, Origin, SinkKind } from '../../domain/flow.ts';
import type { TemplateFlow } from '../../domain/task.ts';

/** How good a critical value's origin must be, where the profile does not say. */
const NEEDED: Readonly<Record<SinkKind, Origin>> = {
  none: 'nowhere',
  internal: 'field',
  external: 'pointed',
  money: 'pointed',
  fetch: 'pointed',
  admin: 'user',
  destroy: 'user',
};

/** Undefined where the owner has said nothing of flow. */
export function toFlowProfile(profile: ProfileFlowConfig): FlowProfile | undefined {
  const { source, sink = 'none', critical = {}, resource = {}, destinations = [], asked = [], inverse } = profile;
  const { source: from, sink: to, critical: which, resource: thing, destinations: list, asked: words } = profile;
  const says = [profile.handle, from, to, which, thing, list, words, inverse];
  if (says.every((one) => one === undefined)) return undefined;
  return {
    trust: source?.trust ?? 'untrusted',
    fields: Object.entries(source?.fields ?? {}).map(([name, field]) =>
      typeof field === 'string'
        ? { name, kind: field, isTrusted: false }
        : { name, kind: field.kind, isTrusted: field.trusted },
    ),
    format: source?.format ?? 'json',
    ...(profile.handle !== undefined && { handle: profile.handle }),
    sink,
    critical: Object.entries(critical).map(([name, value]) => {
      const { kind, from = undefined } = typeof value === 'string' ? { kind: value } : value;
      return { name, kind, from: from ?? NEEDED[sink] };
    }),
    resource: Object.entries(resource).map(([name, kind]) => ({ name, kind })),
    destinations,
    asked,
    inverse,
  };
}

export function toTemplateFlow(flow: TemplateFlowConfig | undefined): TemplateFlow | undefined {
  if (flow === undefined) return undefined;
  const { narrow, destinations, crossings, outwardCalls, connectors } = flow;
  return { isNarrowedByPrompt: narrow === 'prompt', destinations, crossings, outwardCalls, connectors };
}
