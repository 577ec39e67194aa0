import { userInfo } from 'node:os';

/**
 * The operating system's account that runs this process. In a container it often has a number alone: no line of `/etc/passwd` says what it is called.
 * @param look how its entry is had
 */
export function accountName(look: () => { readonly username: string } = userInfo): string {
  try {
    return look().username;
  } catch {
    return `uid-${process.getuid?.()}`;
  }
}
