import { describe, expect, it } from 'vitest';
import { describeSshScope, permitsOf, type SshClass, sshScope } from '../../src/adapters/issuers/ssh-scope.ts';
import { sshCredential } from '../../src/config/credentials/ssh.ts';
import type { ActionClass } from '../../src/domain/tool.ts';

const BARE: SshClass = {
  anyCommand: false,
  pty: false,
  portForwarding: false,
  agentForwarding: false,
  x11Forwarding: false,
};
const CLASSES: Partial<Record<ActionClass, SshClass>> = {
  read: { ...BARE, forceCommand: 'internal-sftp -R' },
  export: { ...BARE, forceCommand: 'internal-sftp -R' },
  write: { ...BARE, forceCommand: 'internal-sftp' },
  code: { ...BARE, anyCommand: true, pty: true, portForwarding: true },
};

describe('what an SSH certificate opens', () => {
  it('is what its class allows, for the principals of the task', () => {
    expect(sshScope(['deploy', 'web/backup', 'deploy'], ['read', 'export', 'secret'], CLASSES)).toEqual({
      principals: ['deploy', 'web/backup'],
      allowed: CLASSES.read,
    });
  });

  it('is nothing where classes mean different things: a certificate has one forced command', () => {
    expect(() => sshScope(['deploy'], ['read', 'write'], CLASSES)).toThrow(
      expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE', hint: expect.stringContaining('task_tool') }),
    );
    // The same command with a terminal is not the same.
    const read = { ...BARE, forceCommand: 'id' };
    const write = { ...read, pty: true };
    expect(() => sshScope(['deploy'], ['read', 'write'], { read, write })).toThrow(/several commands/);
  });

  it.each([['financial'], ['privilege'], []])('%s opens nothing that is not named', (...classes) => {
    expect(() => sshScope(['deploy'], classes as ActionClass[], CLASSES)).toThrow(/open no login/);
  });

  it.each(['', '*', 'a,b', 'a b', '-oProxyCommand=x', 'a\nb', '!root', 'é', 'a'.repeat(65)])(
    '%j is no principal',
    (principal) => {
      expect(() => sshScope([principal], ['read'], CLASSES)).toThrow(
        expect.objectContaining({ code: 'ERR_CREDENTIAL_ISSUE', where: principal }),
      );
    },
  );

  it('nothing unnamed is opened, and not too much', () => {
    expect(() => sshScope([], ['read'], CLASSES)).toThrow(/names no resource/);
    expect(() =>
      sshScope(
        Array.from({ length: 101 }, (_, at) => `p${at}`),
        ['read'],
        CLASSES,
      ),
    ).toThrow(/most is 100/);
  });

  it('permits what is named and never ~/.ssh/rc, and says so', () => {
    expect(permitsOf(BARE)).toEqual([]);
    const all = { ...BARE, pty: true, portForwarding: true, agentForwarding: true, x11Forwarding: true };
    expect(permitsOf(all)).not.toContain('permit-user-rc');
    expect(permitsOf(all)).toHaveLength(4);
    expect(describeSshScope(sshScope(['deploy'], ['code'], CLASSES))).toBe(
      'log in as deploy for any command, port-forwarding, pty',
    );
  });

  it.each([
    ['no command', {}],
    ['a command and any', { forceCommand: 'id', anyCommand: true }],
    ['two lines', { forceCommand: 'id\nrm -rf /' }],
  ])('is not configured with %s', (_, read) => {
    expect(sshCredential.safeParse({ servers: 's', caKey: 'c', classes: { read } }).success).toBe(false);
  });

  it('L7 is not configured as shared without a list', () => {
    const settings = { servers: 's', caKey: 'c', classes: { read: { forceCommand: 'id' } }, sharedKrl: true };
    expect(sshCredential.safeParse(settings).success).toBe(false);
    expect(sshCredential.safeParse({ ...settings, krlFile: 'revoked' }).success).toBe(true);
  });
});
