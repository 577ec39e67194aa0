import type { Principal } from '../domain/principal.ts';
import type { Refused } from '../domain/refusal.ts';

/**
 * Turns the credential of one request into a principal. Cardinality: one per gateway edge.
 * A pure function of the presented token and the key set: liveness of the task is the pipeline's business.
 */
export interface Authenticator {
  /**
   * @param authorization the request's single `Authorization` header, or undefined
   * @returns the principal, or a refusal of kind `unauthenticated`; never throws for a bad token
   */
  authenticate(authorization: string | undefined): Promise<Principal | Refused> | Principal | Refused;
}
