import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exists, run, unpackDebian } from './install.ts';
import { freePort, type Service, startService } from './service.ts';

export interface S3Key {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A real S3 with STS on loopback: Ceph's gateway before one monitor and one object store in memory, out of Debian's packages, which are unpacked and not installed. */
export interface RadosGateway {
  readonly url: string;
  /** A user, and the key that Ceph made for it. */
  readonly addUser: (name: string) => Promise<S3Key>;
  /** A role that one user may assume, with a policy of its own. @returns its ARN */
  readonly addRole: (name: string, trusts: string, policy: object) => Promise<string>;
  /** `METHOD path status` of every request that was answered, in order. */
  readonly answered: () => Promise<string[]>;
  readonly stop: () => Promise<void>;
}

const PACKAGES = [
  ...['ceph-base', 'ceph-common', 'ceph-mon', 'ceph-osd', 'librados2', 'radosgw'],
  ...['libaio1', 'libboost-context1.74.0', 'libboost-filesystem1.74.0', 'libboost-iostreams1.74.0'],
  ...['libboost-thread1.74.0', 'libcurl3-gnutls', 'libdaxctl1', 'libfmt9', 'libfuse2', 'libibverbs1', 'libleveldb1d'],
  ...['liblua5.3-0', 'libndctl6', 'libnl-3-200', 'libnl-route-3-200', 'liboath0', 'libpmem1', 'librabbitmq4'],
  ...['librdmacm1', 'libsnappy1v5'],
];

/** @throws where the packages cannot be had, or one of the servers does not start */
export async function startRadosGateway(): Promise<RadosGateway> {
  const root = await unpackDebian('radosgw', PACKAGES);
  const triplet = (await exists(join(root, 'usr/lib/aarch64-linux-gnu/ceph')))
    ? 'aarch64-linux-gnu'
    : 'x86_64-linux-gnu';
  const libraries = join(root, 'usr/lib', triplet);
  const env = { LD_LIBRARY_PATH: [libraries, join(libraries, 'ceph'), join(root, 'lib', triplet)].join(':') };
  const folder = await mkdtemp(join(tmpdir(), 'remit-rgw-'));
  const [monitor, port] = [await freePort(), await freePort()];
  const settings = join(folder, 'ceph.conf');
  const started: Service[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((one) => one.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  const ran = (tool: string, ...args: string[]) =>
    run(join(root, 'usr/bin', tool), args, { env, timeoutMs: 30_000 }).then(({ stdout }) => stdout);
  const serve = async (tool: string, name: readonly string[], ready: RegExp): Promise<void> => {
    const args = ['-f', '-c', settings, ...name];
    started.push(await startService(join(root, 'usr/bin', tool), args, { env, ready, timeoutMs: 60_000 }));
  };
  try {
    const id = randomUUID();
    for (const name of ['mon', 'osd', 'rgw']) await mkdir(join(folder, name));
    await writeFile(settings, settingsOf({ id, folder, libraries, monitor, port }), { mode: 0o600 });
    const [mons, osds] = [join(folder, 'monmap'), join(folder, 'osdmap')];
    await ran('osdmaptool', '--createsimple', '1', '-c', settings, osds);
    await ran('monmaptool', '--create', '--fsid', id, '--addv', 'a', `[v2:127.0.0.1:${monitor}]`, mons);
    await ran('ceph-mon', '--mkfs', '-i', 'a', '-c', settings, '--monmap', mons, '--osdmap', osds);
    await serve('ceph-mon', ['-i', 'a'], /mon\.a is new leader/);
    await ran('ceph-osd', '--mkfs', '-i', '0', '-c', settings);
    await serve('ceph-osd', ['-i', '0'], /booting -> active/);
    await serve('radosgw', ['-n', 'client.rgw'], /mgrc service_daemon_register/);
  } catch (error) {
    await stop();
    throw error;
  }
  const admin = (...args: string[]) => ran('radosgw-admin', '-n', 'client.admin', '-c', settings, ...args);
  return {
    url: `http://127.0.0.1:${port}`,
    async addUser(name) {
      const { keys } = JSON.parse(await admin('user', 'create', `--uid=${name}`, `--display-name=${name}`));
      return { accessKeyId: keys[0].access_key, secretAccessKey: keys[0].secret_key };
    },
    async addRole(name, trusts, policy) {
      const Principal = { AWS: [`arn:aws:iam:::user/${trusts}`] };
      const trust = policyText([{ Effect: 'Allow', Principal, Action: ['sts:AssumeRole'] }]);
      const role = await admin('role', 'create', `--role-name=${name}`, `--assume-role-policy-doc=${trust}`);
      const own = [`--role-name=${name}`, '--policy-name=own', `--policy-doc=${policyText([policy])}`];
      await admin('role-policy', 'put', ...own);
      return JSON.parse(role).Arn;
    },
    async answered() {
      const log = await readFile(join(folder, 'client.rgw.log'), 'utf8');
      return [...log.matchAll(/ beast: .*?"([A-Z]+) (\S+) HTTP\/1\.1" (\d{3}) /g)].map((line) =>
        line.slice(1).join(' '),
      );
    },
    stop,
  };
}

const policyText = (statements: readonly object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });

interface Places {
  readonly id: string;
  readonly folder: string;
  readonly libraries: string;
  readonly monitor: number;
  readonly port: number;
}

/** No authentication between Ceph's own servers, which are on loopback; nothing is kept twice, or on a disk. */
function settingsOf({ id, folder, libraries, monitor, port }: Places): string {
  return `[global]
fsid = ${id}
mon host = v2:127.0.0.1:${monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = ${folder}
admin socket =
pid file =
crash dir = ${folder}/crash
log file = ${folder}/$name.log
log to stderr = true
err to stderr = true
mon cluster log to file = false
keyring = ${folder}/keyring
plugin dir = ${libraries}/ceph
erasure code dir = ${libraries}/ceph/erasure-code
osd class dir = ${libraries}/rados-classes
mon data = ${folder}/mon
osd data = ${folder}/osd
rgw data = ${folder}/rgw
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw enable apis = s3, sts
rgw s3 auth use sts = true
rgw sts key = ${id.replaceAll('-', '').slice(0, 16)}
rgw run sync thread = false
`;
}
