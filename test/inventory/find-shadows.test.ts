import { describe, expect, it } from 'vitest';
import { findShadows } from '../../src/inventory/find-shadows.ts';

const item = (connector: string, name: string, kind = 'tool') => ({
  ref: `${connector}/${name}`,
  connector,
  kind,
  name,
});

describe('A21: names that two connectors use', () => {
  it('finds the same name, and names that look the same', () => {
    expect(findShadows([item('mail', 'send_email'), item('evil', 'send_email'), item('mail', 'list')])).toEqual([
      { refs: ['evil/send_email', 'mail/send_email'], reason: 'same_name' },
    ]);
    expect(findShadows([item('mail', 'send_email'), item('evil', 'sеnd-Email')])).toMatchObject([
      { reason: 'confusable_name' },
    ]);
    expect(findShadows([item('a', 'fill_form'), item('b', 'fi11_form')])).toHaveLength(1);
  });

  it('leaves alone what one connector has twice, other kinds, and other names', () => {
    expect(findShadows([item('a', 'get'), item('a', 'GET'), item('b', 'get', 'prompt'), item('b', 'got')])).toEqual([]);
  });

  it('finds a resource address that two connectors serve', () => {
    expect(findShadows([item('a', 'docs://x/*', 'resource'), item('b', 'docs://x/*', 'resource')])).toMatchObject([
      { reason: 'same_address' },
    ]);
  });
});
