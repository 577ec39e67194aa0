import { userInfo } from 'node:os';
import { expect, it } from 'vitest';
import { accountName } from '../../src/compose/account-name.ts';

it('is what the system calls it; of one that has a number alone, as in a container, the number: an order must not fail for it', () => {
  expect(accountName()).toBe(userInfo().username);
  const nameless = () => {
    throw new Error('uv_os_get_passwd returned ENOENT');
  };
  expect(accountName(nameless)).toBe(`uid-${process.getuid?.()}`);
});
