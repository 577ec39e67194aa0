import type { TenantId } from './ids.ts';
import type { ValuePrint } from './value-print.ts';

/** A value that stands somewhere for nobody to use: whoever sends it has read what it should not have, and is sending it on. */
export interface Canary {
  readonly tenant: TenantId;
  readonly id: string;
  /** Where it was put out. */
  readonly zone: string;
  readonly print: ValuePrint;
  readonly createdAt: number;
  /** An operating system account. */
  readonly createdBy: string;
}
