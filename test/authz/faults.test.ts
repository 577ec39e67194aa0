import { afterAll, beforeAll, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { type Fixture, startFixture } from './authorization-fixture.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.close());

const unreachable = async (): Promise<never> => {
  throw new RemitError('ERR_STORE_UNREACHABLE', 'connection to 10.0.0.5 lost');
};

it.each(['find', 'upsert', 'consume'] as const)(
  'D1 gives no token when the used assertions cannot be kept (%s)',
  async (method) => {
    const { oauth } = fixture;
    const working = oauth[method];
    Object.assign(oauth, { [method]: unreachable });
    const { status, body } = await fixture.declare({ template: 'triage' });
    Object.assign(oauth, { [method]: working });
    expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
    expect(JSON.stringify(body)).not.toContain('10.0.0.5');
    expect(fixture.tasks.rows.size).toBe(0);
    expect((await fixture.declare({ template: 'triage' })).status).toBe(200);
    fixture.tasks.rows.clear();
  },
);

it('D1 gives no token when the task cannot be stored', async () => {
  const { insert } = fixture.tasks;
  fixture.tasks.insert = unreachable;
  const { status, body } = await fixture.declare({ template: 'triage' });
  fixture.tasks.insert = insert;
  expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
  expect(body.access_token).toBeUndefined();
});

it('says nothing of an unforeseen fault but that there was one', async () => {
  fixture.tasks.insert = async () => {
    throw new Error('secret detail');
  };
  const { status, body } = await fixture.declare({ template: 'triage' });
  expect([status, body]).toEqual([
    500,
    { error: 'server_error', error_description: 'the gateway failed to answer: its log says why' },
  ]);
  expect(fixture.logged.join('\n')).toContain('secret detail');
});
