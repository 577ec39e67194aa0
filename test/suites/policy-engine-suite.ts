import { describe, expect, test } from 'vitest';
import type { AccessRequest } from '../../src/domain/decision.ts';
import type { PolicyEngine } from '../../src/seams/policy-engine.ts';

/** A rule in no engine's language: who may, or must not, do what with one tool. */
export interface SuiteRule {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly who: { readonly kind: 'agent' | 'user' | 'group'; readonly id: string };
  readonly action: AccessRequest['action'];
  readonly reason?: string;
  readonly next?: string;
}

export interface PolicyEngineHarness {
  /** An engine with these rules, all about the tool of `request`. */
  make(rules: readonly SuiteRule[]): PolicyEngine | Promise<PolicyEngine>;
  /** One that permits every request of `request`'s subject, and has a further rule that fails while it is evaluated. */
  makeErring(): PolicyEngine | Promise<PolicyEngine>;
  /** One that permits everything, but whose means of evaluation throw. */
  makeBroken(): PolicyEngine | Promise<PolicyEngine>;
  /** A call by agent `orders-bot` that the engine can judge; the suite changes subject and action. */
  readonly request: AccessRequest;
}

/** What every `PolicyEngine` must do. Run it against each implementation. */
export function runPolicyEngineSuite(name: string, harness: PolicyEngineHarness): void {
  const bot = { kind: 'agent', id: 'orders-bot' } as const;
  const permitBot: SuiteRule = { id: 'permit-bot', effect: 'permit', who: bot, action: 'call' };
  const forbidBot: SuiteRule = { id: 'forbid-bot', effect: 'forbid', who: bot, action: 'call' };
  const as = (subject: AccessRequest['subject'], action: AccessRequest['action'] = 'call'): AccessRequest => ({
    ...harness.request,
    subject,
    action,
    context: { ...harness.request.context, arguments: action === 'call' ? harness.request.context.arguments : {} },
  });
  const agent = (id: string) => as({ kind: 'agent', id, groups: [] });
  const user = (id: string, groups: string[]) => as({ kind: 'user', id, groups });

  describe(`policy engine: ${name}`, () => {
    test('D1 denies when there is no policy', async () => {
      const engine = await harness.make([]);
      expect(await engine.evaluate(harness.request)).toMatchObject({ verdict: 'deny', policies: [] });
    });

    test('D1 denies when no policy matches', async () => {
      const engine = await harness.make([permitBot]);
      expect(await engine.evaluate(agent('helper'))).toMatchObject({ verdict: 'deny', policies: [] });
    });

    test('permits by a matching policy and names it', async () => {
      const engine = await harness.make([permitBot]);
      expect(await engine.evaluate(harness.request)).toMatchObject({ verdict: 'permit', policies: ['permit-bot'] });
    });

    test('a forbid overrides every permit, whatever the order', async () => {
      for (const rules of [
        [permitBot, forbidBot],
        [forbidBot, permitBot],
      ]) {
        const engine = await harness.make(rules);
        expect(await engine.evaluate(harness.request)).toMatchObject({ verdict: 'deny', policies: ['forbid-bot'] });
      }
    });

    test('D1 denies when any policy errs, although another permits', async () => {
      const engine = await harness.makeErring();
      expect((await engine.evaluate(harness.request)).verdict).toBe('deny');
    });

    test('D1 denies, and does not throw, when its own means fail', async () => {
      const engine = await harness.makeBroken();
      expect((await engine.evaluate(harness.request)).verdict).toBe('deny');
    });

    test('D1 denies, and does not throw, on a request that makes no sense', async () => {
      const engine = await harness.make([permitBot]);
      for (const nonsense of [
        undefined,
        null,
        {},
        { ...harness.request, subject: undefined },
        { ...harness.request, action: 'x' },
      ]) {
        const answer = await (async () => engine.evaluate(nonsense as never))();
        expect(answer.verdict).toBe('deny');
      }
    });

    test('D2 a permit to call is none to discover, and the reverse', async () => {
      const caller = await harness.make([permitBot]);
      expect((await caller.evaluate(as(harness.request.subject, 'discover'))).verdict).toBe('deny');
      const lister = await harness.make([{ ...permitBot, action: 'discover' }]);
      expect((await lister.evaluate(as(harness.request.subject, 'discover'))).verdict).toBe('permit');
      expect((await lister.evaluate(harness.request)).verdict).toBe('deny');
    });

    test('D3 a permit for an agent is none for a user of the same name, and the reverse', async () => {
      const agents = await harness.make([permitBot]);
      expect((await agents.evaluate(user('orders-bot', []))).verdict).toBe('deny');
      const users = await harness.make([{ ...permitBot, who: { kind: 'user', id: 'orders-bot' } }]);
      expect((await users.evaluate(user('orders-bot', []))).verdict).toBe('permit');
      expect((await users.evaluate(agent('orders-bot'))).verdict).toBe('deny');
    });

    test('a group permits its members only', async () => {
      const engine = await harness.make([{ ...permitBot, who: { kind: 'group', id: 'idp#support' } }]);
      expect((await engine.evaluate(user('idp#alice', ['idp#other', 'idp#support']))).verdict).toBe('permit');
      expect((await engine.evaluate(user('idp#alice', ['idp#other']))).verdict).toBe('deny');
      expect((await engine.evaluate(user('idp#alice', ['evil#support']))).verdict).toBe('deny');
      expect((await engine.evaluate(user('idp#support', []))).verdict).toBe('deny');
    });

    test('answers with the reason and next step of the policy', async () => {
      const engine = await harness.make([
        permitBot,
        { ...forbidBot, reason: 'Frozen for stocktaking.', next: 'Wait until Monday.' },
      ]);
      expect(await engine.evaluate(harness.request)).toMatchObject({
        reason: 'Frozen for stocktaking.',
        nextStep: 'Wait until Monday.',
      });
    });

    test('has a version that is the same for the same policies and changes with any of them', async () => {
      const version = async (rules: SuiteRule[]) => (await harness.make(rules)).version;
      const first = await version([permitBot]);
      expect(first).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(await version([permitBot])).toBe(first);
      expect(await version([permitBot, forbidBot])).not.toBe(first);
      expect(await version([{ ...permitBot, who: { kind: 'agent', id: 'helper' } }])).not.toBe(first);
      expect(await version([])).not.toBe(first);
    });
  });
}
