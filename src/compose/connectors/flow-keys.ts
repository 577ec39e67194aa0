import { createHmac } from 'node:crypto';
import { createPrinter, type Printer } from '../../flow/value-prints.ts';
import type { Workspace } from '../workspace.ts';

export interface FlowKeys {
  /** Of what names things that tasks have stored. */
  readonly fingerprint: (text: string) => string;
  /** Of canaries and of values of marked classes. */
  readonly printer: Printer;
}

/** Keys of fingerprints that the store keeps: out of its one sealing key, so that they hold for as long as that does. @throws `ERR_STORE_*`, `ERR_VAULT_*` */
export async function loadFlowKeys({ stateKey }: Pick<Workspace, 'stateKey'>): Promise<FlowKeys> {
  const key = await stateKey();
  const derive = (what: string): Buffer => createHmac('sha256', key).update(what).digest();
  const names = derive('names of things that tasks have stored');
  const values = derive('values that must not travel');
  return {
    fingerprint: (text) => createHmac('sha256', names).update(text).digest('base64url').slice(0, 22),
    printer: createPrinter(values),
  };
}
