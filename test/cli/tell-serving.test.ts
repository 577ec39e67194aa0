import { describe, expect, it, vi } from 'vitest';
import type { Output } from '../../src/cli/output.ts';
import { tellServing } from '../../src/cli/serve.ts';

/** What `remit up` says once it serves. */
const STARTED = { url: 'https://remit.example', tools: 2, undescribed: 1, problems: [] };
const LISTENS = 'http://127.0.0.1:7421';

function told(started: Parameters<typeof tellServing>[1], isJson: boolean): string {
  const lines: string[] = [];
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  try {
    tellServing({ isJson, note: (line: string) => lines.push(line) } as unknown as Output, started, {});
  } finally {
    write.mockRestore();
  }
  return lines.join('\n');
}

describe('remit up', () => {
  it('says where it listens, where agents reach it by another URL', () => {
    expect(told({ ...STARTED, listens: LISTENS }, false)).toContain(`listens at ${LISTENS}`);
    expect(JSON.parse(told({ ...STARTED, listens: LISTENS }, true))).toMatchObject({
      event: 'serving',
      url: STARTED.url,
      mcp: `${STARTED.url}/mcp`,
      listens: LISTENS,
    });
  });

  it('says one address, where that is all', () => {
    expect(told(STARTED, false)).not.toContain('listens');
    expect(JSON.parse(told(STARTED, true))).not.toHaveProperty('listens');
  });
});
