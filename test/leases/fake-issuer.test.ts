import { RemitError } from '../../src/domain/errors.ts';
import { issuerSuite } from '../suites/issuer-suite.ts';
import { createFakeIssuer, issueFault } from '../support/fake-issuer.ts';

// The fake stands in for every issuer in the lease tests: it has to be one.
for (const [revocation, hasHandles] of [
  ['immediate', false],
  ['next_use', false],
  ['expiry_only', false],
  ['immediate', true],
] as const) {
  issuerSuite(`fake, ${revocation}${hasHandles ? ', by handle' : ''}`, async () => {
    const issuer = createFakeIssuer({ revocation, hasHandles });
    const broken = createFakeIssuer({ revocation });
    broken.issueScripts.push(() =>
      Promise.reject(new RemitError('ERR_CREDENTIAL_ISSUE', issueFault().message, { hint: 'Wait.' })),
    );
    if (revocation === 'expiry_only') {
      const keep = async () => {};
      issuer.revokeScripts.push(...Array.from({ length: 200 }, () => keep));
    }
    return {
      issuer,
      // Its downstream is in memory, and its own: closing it does nothing.
      other: () => issuer,
      clock: Date.now,
      resources: ['public.orders'],
      actionClasses: ['read'],
      canUse: async (fields) => issuer.live.get(fields.username?.reveal() ?? '')?.reveal() === fields.token?.reveal(),
      exists: revocation === 'expiry_only' ? undefined : async (tag) => issuer.live.has(tag),
      broken: [broken],
      secrets: [],
      stop: async () => {},
    };
  });
}
