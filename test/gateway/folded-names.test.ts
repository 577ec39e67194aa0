import { describe, expect, it } from 'vitest';
import type { ToolProfile } from '../../src/domain/tool.ts';
import { parseStrictJson } from '../../src/gateway/edge/strict-json.ts';
import { readCriticalArguments } from '../../src/policy/read-arguments.ts';

// Go's encoding/json matches member names by Unicode simple folding: `ſql` and `SQL` fill the field `sql`.
const profile: ToolProfile = {
  actionClass: 'read',
  dataClasses: [],
  criticalArguments: [{ name: 'sql', type: 'string', required: false }],
  reversible: false,
  approvedBy: 'owner',
  fingerprint: undefined,
};

describe('names that some decoders take for one another', () => {
  it.each(['{"sql":"a","ſql":"b"}', '{"k":1,"\u212a":2}', '{"sql":"a","SQL":"b"}'])('D4 are duplicates: %s', (text) => {
    expect(parseStrictJson(text)).toHaveProperty('problem', expect.stringContaining('duplicate key'));
  });

  it.each(['SQL', 'ſql'])('D4 %s does not carry an optional argument past the policies', (name) => {
    expect(readCriticalArguments(profile, { [name]: 'DROP TABLE orders' })).toEqual({
      problem: { argument: 'sql', reason: 'it is written with other letters' },
    });
    expect(readCriticalArguments(profile, { other: 1 })).toEqual({ values: {} });
  });
});
