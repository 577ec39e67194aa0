import { describe, expect, it } from 'vitest';
import { patientFetch } from '../../../src/adapters/issuers/mcp-oauth/patient-fetch.ts';

describe('a request whose answer must not be lost', () => {
  function begin() {
    const timers: { ms: number; task: () => void }[] = [];
    let answer = (_response: Response): void => {};
    const schedule = (ms: number, task: () => void) => {
      const timer = { ms, task };
      timers.push(timer);
      return () => void (timers.includes(timer) && timers.splice(timers.indexOf(timer), 1));
    };
    const answered = patientFetch(
      (_address, { signal }) =>
        new Promise((resolve, reject) => {
          answer = resolve;
          signal?.addEventListener('abort', () => reject(signal.reason));
        }),
      schedule,
      10_000,
    )('https://login.example.com/token', {});
    const fire = () => timers.shift()?.task();
    return { answered, timers, fire, answer: (response: Response) => answer(response) };
  }

  it('is read where the process was stopped past its deadline, and the timers came first', async () => {
    const { answered, fire, answer, timers } = begin();
    fire();
    answer(new Response('{"a":1}', { status: 200, headers: { 'x-a': 'b' } }));
    const response = await answered;
    expect(await response.json()).toEqual({ a: 1 });
    expect([response.status, response.headers.get('x-a')]).toEqual([200, 'b']);
    expect(timers).toEqual([]);
  });

  it('is given up where nothing has arrived by then', async () => {
    const { answered, fire, timers } = begin();
    expect(timers).toMatchObject([{ ms: 10_000 }]);
    fire();
    expect(timers).toMatchObject([{ ms: 500 }]);
    fire();
    await expect(answered).rejects.toThrow('no answer within 10000 ms');
    expect(timers).toEqual([]);
  });

  it('leaves no timer behind where it fails', async () => {
    const timers: unknown[] = [];
    const failing = patientFetch(
      () => Promise.reject(new Error('refused')),
      () => () => void timers.push('cancelled'),
      1,
    );
    await expect(failing('https://login.example.com/token', {})).rejects.toThrow('refused');
    expect(timers).toEqual(['cancelled']);
  });
});
