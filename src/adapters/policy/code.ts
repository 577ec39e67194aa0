import type { TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { AccessRequest } from '../../domain/decision.ts';

/** Text, a 64-bit integer (safe integers only), a truth value, an entity, a set of those. */
export type Value = string | number | boolean | TypeAndId | readonly Value[];

/** Undefined stands for "ask Cedar": the value may be an error, or is one that is not told apart here. */
export type Run = (request: AccessRequest) => Value | undefined;

/** An expression, or its value where no request of a question can change it. */
export type Code = { readonly constant: Value } | { readonly run: Run };

/** An expression outside the closed subset that is read in process: its policies are Cedar's to evaluate. */
class NotReadHere extends Error {}

export const isNotReadHere = (error: unknown): boolean => error instanceof NotReadHere;

/** @throws what `isNotReadHere` knows */
export function notReadHere(what: string): never {
  throw new NotReadHere(what);
}

export const isConstant = (code: Code): code is { readonly constant: Value } => 'constant' in code;

export const evaluate = (code: Code, request: AccessRequest): Value | undefined =>
  'constant' in code ? code.constant : code.run(request);

export function constantOf(value: Value | undefined): Code {
  return value === undefined ? notReadHere('an error') : { constant: value };
}

/** Applies an operation to the value of an expression, at once where that is constant. */
export function applyTo(code: Code, apply: (value: Value) => Value | undefined): Code {
  if (isConstant(code)) return constantOf(apply(code.constant));
  return {
    run: (request) => {
      const value = code.run(request);
      return value === undefined ? undefined : apply(value);
    },
  };
}

export const asTruth = (value: Value | undefined): boolean | undefined =>
  typeof value === 'boolean' ? value : undefined;

export const truth = (code: Code): Code => applyTo(code, asTruth);

export const isEntity = (value: Value | undefined): value is TypeAndId =>
  typeof value === 'object' && !Array.isArray(value);

/** Undefined for sets, which are not compared here. Values of two types are never equal, which is no error. */
export function isEqual(one: Value, other: Value): boolean | undefined {
  if (typeof one !== 'object' || typeof other !== 'object') return one === other;
  if (!isEntity(one) || !isEntity(other)) return undefined;
  return one.type === other.type && one.id === other.id;
}
