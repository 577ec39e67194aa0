import type { AdminOperation } from '../../http/admin-socket.ts';
import { administrator } from '../trail/record-administration.ts';
import type { PolicyInForce } from './policy-in-force.ts';

/** What the administration socket offers about policies. */
export function policyOperations(policies: PolicyInForce): Readonly<Record<string, AdminOperation>> {
  return {
    /** The folder is validated and tried by its cases; then it is in force, or nothing has changed. */
    'reload-policies': () => policies.reload(administrator()),
    /** Others are asked beside them for a while. */
    'begin-shadow': async ({ folder = '', until = '' }) => ({
      shadow: await policies.shadow.begin(folder, until, administrator()),
    }),
    'end-shadow': async () => ({ shadow: await policies.shadow.end(`ended by ${administrator()}`) }),
    shadow: async () => ({ shadow: policies.shadow.status() }),
  };
}
