/**
 * What the reference model reasons about, in words of its own: an estate, policies as a tree, one question. Nothing here or in the model that
 * reads it comes from the code under test; it is written from `docs/reference/policies.md`, `docs/concepts.md` and the guarantees D1–D6.
 */

export interface Estate {
  readonly agents: readonly Owned[];
  readonly connectors: readonly (Owned & { readonly items: readonly Item[] })[];
}

export interface Owned {
  readonly id: string;
  readonly owner: string;
  readonly environment: string;
  readonly zone: string;
}

/** A described tool, prompt or resource. */
export interface Item {
  readonly ref: string;
  readonly connector: string;
  readonly profile: Profile;
}

export interface Profile {
  readonly actionClass: string;
  readonly dataClasses: readonly string[];
  readonly reversible: boolean;
  /** Undefined: the profile does not say. */
  readonly sink: string | undefined;
  readonly args: readonly { readonly name: string; readonly type: string; readonly required: boolean }[];
  /** Arguments whose origin policies may read. */
  readonly critical: readonly string[];
}

export interface Entity {
  readonly type: string;
  readonly id: string;
}

/** An expression of a condition. */
export type Expression =
  | { readonly is: 'literal'; readonly value: string | bigint | boolean }
  | { readonly is: 'entity'; readonly entity: Entity }
  | { readonly is: 'set'; readonly members: readonly Expression[] }
  | { readonly is: 'variable'; readonly name: 'principal' | 'action' | 'resource' | 'context' }
  | { readonly is: 'attribute' | 'has'; readonly of: Expression; readonly name: string }
  | { readonly is: '!' | 'negative' | 'isEmpty'; readonly of: Expression }
  | { readonly is: BinaryOperator; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'if'; readonly test: Expression; readonly yes: Expression; readonly no: Expression }
  | { readonly is: 'like'; readonly of: Expression; readonly pattern: Pattern }
  | { readonly is: 'is'; readonly of: Expression; readonly type: string; readonly within: Expression | undefined };

export type BinaryOperator =
  | '&&'
  | '||'
  | '=='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | '+'
  | '-'
  | '*'
  | 'in'
  | 'contains'
  | 'containsAll'
  | 'containsAny';

/** Of `like`: texts, and between them anything. */
export type Pattern = readonly (string | { readonly any: true })[];

export interface Scope {
  /** Undefined: of any type. */
  readonly type: string | undefined;
  /** Undefined: any of the type. */
  readonly of: { readonly how: '==' | 'in'; readonly entities: readonly Entity[] } | undefined;
}

export interface Policy {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly principal: Scope;
  readonly action: Scope;
  readonly resource: Scope;
  readonly clauses: readonly { readonly kind: 'when' | 'unless'; readonly body: Expression }[];
  readonly reason: string | undefined;
  readonly next: string | undefined;
  /** Of a forbid that people can lift. */
  readonly stepUp: Terms | undefined;
}

export interface Terms {
  readonly groups: readonly string[];
  readonly count: number;
  readonly expiresSeconds: number;
  readonly limit: number;
  readonly barred: readonly string[];
}

export interface Person {
  readonly issuer: string;
  readonly subject: string;
  readonly groups: readonly string[];
}

export interface Bounds {
  readonly actionClasses: readonly string[];
  readonly tools: readonly string[];
  readonly calls: number;
}

/** All that one decision depends on, but for estate and policies. */
export interface Question {
  readonly action: 'call' | 'discover';
  readonly now: number;
  readonly environment: string;
  readonly caller: {
    readonly tenant: string;
    readonly user: Person | undefined;
    readonly agent: string;
    readonly actors: readonly string[];
    readonly task: string;
  };
  readonly task: {
    readonly id: string;
    readonly tenant: string;
    readonly agent: string;
    readonly user: Person | undefined;
    readonly template: string;
    readonly purpose: string;
    readonly bounds: Bounds;
    readonly state: string;
    readonly startedAt: number;
    readonly expiresAt: number;
  };
  readonly template:
    | {
        readonly id: string;
        readonly agents: readonly string[];
        readonly bounds: Bounds;
        readonly maxDurationSeconds: number;
        readonly requiresUser: boolean;
      }
    | undefined;
  readonly item: Item;
  readonly status: string;
  /** Whether the profile of the call is another than the one that policies were read with. */
  readonly hasDrifted: boolean;
  readonly args: unknown;
  readonly callsLeft: number | 'not counted';
  readonly labels: {
    readonly trust: string;
    readonly dataClasses: readonly string[];
    readonly zones: readonly string[];
  };
  readonly provenance: Readonly<Record<string, string>>;
}

/** What the model says of a question. */
export interface Verdict {
  readonly verdict: 'permit' | 'deny' | 'step_up';
  readonly gate: string;
  /** Undefined where the documentation leaves open which are named. */
  readonly policies: readonly string[] | undefined;
  /** Undefined where no determining policy has one. */
  readonly reason: string | undefined;
  readonly next: string | undefined;
  readonly terms: readonly (Terms & { readonly by: string })[];
}
