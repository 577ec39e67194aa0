import type { JsonObject } from '../domain/json.ts';
import { diffDefinition } from './diff-definition.ts';
import { findShadows } from './find-shadows.ts';
import { inspectDefinition } from './inspect-definition.ts';

/** Something that an owner should look at. */
export interface DefinitionFinding {
  readonly severity: 'high' | 'medium' | 'low';
  readonly kind: string;
  /** `connector/name` of what it is about; of a shadow, all that share the name. */
  readonly refs: readonly string[];
  readonly text: string;
}

/** An item as the inventory has it: the definition as last listed, and the one that was approved. */
export interface SeenItem {
  readonly ref: string;
  readonly connector: string;
  readonly kind: string;
  readonly name: string;
  readonly status: 'described' | 'undescribed' | 'quarantined';
  readonly definition: JsonObject;
  readonly approved: JsonObject | undefined;
}

const FLAG_SEVERITY: Readonly<Record<string, DefinitionFinding['severity']>> = {
  hidden_characters: 'high',
  network_reference: 'medium',
  unsafe_pattern: 'medium',
  invalid_header_mark: 'high',
  too_deep: 'high',
  too_large: 'high',
};

/** What is wrong with the definitions of an estate: changed since approval, hiding something, shadowing one another. */
export function definitionFindings(items: readonly SeenItem[]): readonly DefinitionFinding[] {
  const findings: DefinitionFinding[] = [];
  for (const { ref, status, definition, approved } of items) {
    for (const { kind, at, detail } of inspectDefinition(definition)) {
      const text = `${at === '' ? 'the definition' : at}: ${detail}`;
      findings.push({ severity: FLAG_SEVERITY[kind] ?? 'medium', kind, refs: [ref], text });
    }
    if (status !== 'quarantined') continue;
    const changes = approved === undefined ? [] : diffDefinition(approved, definition);
    const [worst] = changes;
    const isGrave = worst?.meaning === 'new_input' || worst?.meaning === 'wider_input';
    findings.push({
      severity: isGrave ? 'high' : 'medium',
      kind: 'changed_definition',
      refs: [ref],
      text:
        worst === undefined
          ? 'differs from the approved definition, which is no longer known'
          : `${changes.length} ${changes.length === 1 ? 'change' : 'changes'} since it was approved, the gravest: ${worst.meaning} at ${worst.at}`,
    });
  }
  for (const { refs, reason } of findShadows(items)) {
    findings.push({ severity: 'medium', kind: 'shadowed_name', refs, text: SHADOW_TEXT[reason] });
  }
  return findings.sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}

const RANK = { high: 0, medium: 1, low: 2 } as const;
const SHADOW_TEXT = {
  same_name: 'the same name in several connectors: a model that is told to use it may take either',
  confusable_name: 'names that look alike in several connectors: one may pass for the other',
  same_address: 'the same resource address in several connectors: it is refused where both are served',
} as const;
