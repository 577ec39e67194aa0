import { expect, it } from 'vitest';
import { clientSecretBasic } from '../../src/adapters/issuers/client-secret-basic.ts';
import { Secret } from '../../src/domain/secret.ts';

it.each([
  ['pre-registered.client_1', 'a-b.c_d*', 'pre-registered.client_1:a-b.c_d*'],
  ['https://remit.example/', 'a:b c+d%é', 'https%3A%2F%2Fremit.example%2F:a%3Ab+c%2Bd%25%C3%A9'],
])('a client id and secret are written as RFC 6749 appendix B has it: %s', (id, secret, expected) => {
  const headers = new Headers();
  void clientSecretBasic(new Secret(secret))({} as never, { client_id: id }, new URLSearchParams(), headers);
  const [scheme, pair = ''] = (headers.get('authorization') ?? '').split(' ');
  expect(scheme).toBe('Basic');
  expect(Buffer.from(pair, 'base64').toString()).toBe(expected);
});
