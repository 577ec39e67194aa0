import type { AdminOperation } from '../../http/admin-socket.ts';
import { administrator } from '../trail/record-administration.ts';
import type { PolicyInForce } from './policy-in-force.ts';

/** What the administration socket offers about policies. */
export function policyOperations(policies: PolicyInForce): Readonly<Record<string, AdminOperation>> {
  return {
    /** The folder is validated and tried by its cases; then it is in force, or nothing has changed. */
    'reload-policies': () => policies.reload(administrator()),
  };
}
