import { describe, expect, it } from 'vitest';
import { readChallenge } from '../../../src/adapters/issuers/mcp-oauth/challenge.ts';

describe('what a server says with a 401 or 403', () => {
  it.each([
    ['Bearer', { error: undefined, scopes: undefined, resourceMetadata: undefined }],
    [
      'Bearer error="insufficient_scope", scope="notes.write notes.read", resource_metadata="https://a.example/meta"',
      {
        error: 'insufficient_scope',
        scopes: ['notes.write', 'notes.read'],
        resourceMetadata: 'https://a.example/meta',
      },
    ],
    // Another scheme before it, and one behind, whose parameters are its own.
    [
      'Basic realm="a, b", bearer scope=one, DPoP scope="two"',
      { error: undefined, scopes: ['one'], resourceMetadata: undefined },
    ],
    // The first of a name counts; an escaped quote is a part of the value, and no part of a scope.
    ['Bearer scope="one", scope="two"', { error: undefined, scopes: ['one'], resourceMetadata: undefined }],
    ['Bearer scope="a\\"b good"', { error: undefined, scopes: ['good'], resourceMetadata: undefined }],
    ['Bearer scope=""', { error: undefined, scopes: undefined, resourceMetadata: undefined }],
  ])('%s', (header, expected) => {
    expect(readChallenge(header)).toEqual(expected);
  });

  it.each(['', 'Basic realm="x"', 'Negotiate abc==', '"Bearer"', `Bearer scope="${'a '.repeat(5_000)}"`])(
    'is nothing where there is no Bearer challenge that can be read: %.40s',
    (header) => {
      expect(readChallenge(header)).toBeUndefined();
    },
  );
});
