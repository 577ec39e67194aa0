import { describe, expect, it } from 'vitest';
import { egressMatcher, plainHost } from '../../src/adapters/upstreams/egress-list.ts';

const isAllowed = (allow: string[], host: string, port = 443): boolean =>
  egressMatcher({ allow, allowPrivateNetwork: false })({ host: plainHost(host), port });

describe('where a sandboxed server may connect to', () => {
  it.each([
    ['api.example.com', 'api.example.com', 443],
    ['api.example.com', 'API.Example.com.', 443],
    ['API.example.com:8443', 'api.example.com', 8443],
    ['*.example.com', 'a.example.com', 443],
    ['*.example.com', 'a.b.example.com', 443],
    ['192.0.2.7:80', '192.0.2.7', 80],
    ['[2001:db8::1]', '[2001:db8::1]', 443],
  ])('%s is %s, port %i', (entry, host, port) => {
    expect(isAllowed([entry], host, port)).toBe(true);
  });

  it.each([
    ['api.example.com', 'api.example.com', 80],
    ['api.example.com', 'api.example.com.evil.example', 443],
    ['api.example.com', 'xapi.example.com', 443],
    ['*.example.com', 'example.com', 443],
    ['*.example.com', 'badexample.com', 443],
    ['*.example.com', 'a.example.com.evil.example', 443],
    ['*.example.com:8443', 'a.example.com', 443],
  ])('%s is not %s, port %i', (entry, host, port) => {
    expect(isAllowed([entry], host, port)).toBe(false);
  });

  it.each([
    '',
    '*',
    '*.',
    'https://a.example',
    'a.example/path',
    'a.example:0',
    'a.example:99999',
    'a b',
    'user@a.example',
    'a*.example',
    '-a.example',
  ])('refuses %j', (entry) => {
    expect(() => egressMatcher({ allow: [entry], allowPrivateNetwork: false })).toThrow('is not a place to connect to');
  });
});
