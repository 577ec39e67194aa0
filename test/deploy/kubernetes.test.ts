import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/config/load-config.ts';

/** The manifests beside each other and beside the product: no cluster is asked. */
const FOLDER = 'deploy/kubernetes';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: what a manifest holds is looked at by each test
  readonly spec: any;
}

const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
const read = (name: string): Manifest[] =>
  parseAllDocuments(readFileSync(join(FOLDER, name), 'utf8')).map((document) => {
    expect(document.errors, name).toEqual([]);
    return document.toJS() as Manifest;
  });
const manifests = files.filter((name) => name !== 'kustomization.yaml').flatMap(read);
const find = (kind: string, name = 'remit'): Manifest => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};

const config = parseConfig(find('ConfigMap').data?.['remit.yaml'] as string, 'remit.yaml');
const { spec } = find('StatefulSet');
const pod = spec.template.spec;
const [container] = pod.containers;
const mounts = new Map<string, { readOnly?: boolean; name: string }>(
  // biome-ignore lint/suspicious/noExplicitAny: see above
  container.volumeMounts.map((mount: any) => [mount.mountPath, mount]),
);
const within = (path: string): { readOnly?: boolean; name: string } | undefined =>
  [...mounts].find(([at]) => path === at || path.startsWith(`${at}/`))?.[1];

describe('manifests', () => {
  it('are all listed, and each selector meets the pods', () => {
    const [kustomization] = read('kustomization.yaml') as unknown as { resources: string[] }[];
    expect([...(kustomization?.resources ?? []), 'kustomization.yaml'].sort()).toEqual(files.sort());
    const labels = spec.template.metadata.labels;
    for (const selector of [
      spec.selector.matchLabels,
      find('Service').spec.selector,
      find('Service', 'remit-nodes').spec.selector,
      find('PodDisruptionBudget').spec.selector.matchLabels,
      find('NetworkPolicy').spec.podSelector.matchLabels,
    ]) {
      expect(Object.keys(selector).length).toBeGreaterThan(0);
      expect(labels).toMatchObject(selector);
    }
  });

  it('the configuration is valid, and every path of it is mounted, only its data to be written to', () => {
    expect(within(config.data)).toMatchObject({ name: 'data' });
    expect(within(config.data)?.readOnly).toBeUndefined();
    expect(within(config.policies)?.readOnly).toBe(true);
    if (config.vaultKey.kind !== 'file') throw new Error('the vault key is no file');
    expect(within(config.vaultKey.path as string)?.readOnly).toBe(true);
    expect(within(container.args[2])?.readOnly).toBe(true);
    expect(container.args).toEqual(['up', '--config', '/etc/remit/remit.yaml', '--json']);
    // biome-ignore lint/suspicious/noExplicitAny: see above
    const volumes = [...pod.volumes, ...spec.volumeClaimTemplates.map((claim: any) => claim.metadata)];
    for (const { name } of mounts.values()) expect(volumes.map((volume) => volume.name)).toContain(name);
    expect(find('ConfigMap', 'remit-policies').data).toHaveProperty(['within-the-task.cedar']);
  });

  it('every variable that the configuration names is set, the store’s URL from a secret', () => {
    if (config.store.kind !== 'postgres') throw new Error('several nodes need PostgreSQL');
    // biome-ignore lint/suspicious/noExplicitAny: see above
    const variables = new Map<string, any>(container.env.map((one: any) => [one.name, one]));
    expect(variables.get(config.store.urlVariable).valueFrom.secretKeyRef).toMatchObject({ name: 'remit' });
    const address = variables.get(config.node.addressVariable as string).value.replace('$(POD_NAME)', 'remit-0');
    const { hostname, port } = new URL(address);
    expect(hostname).toBe(`remit-0.${spec.serviceName}`);
    expect(Number(port)).toBe(config.listen.port);
    expect(find('Service', spec.serviceName).spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
    expect(variables.has('POD_NAME')).toBe(true);
  });

  it('ports and probes are the gateway’s, by a name that it answers to', () => {
    const { port } = config.listen;
    expect(config.listen.host).toBe('0.0.0.0');
    expect(container.ports).toContainEqual({ name: 'http', containerPort: port });
    for (const name of ['remit', 'remit-nodes'])
      expect(find('Service', name).spec.ports).toMatchObject([{ port, targetPort: 'http' }]);
    expect(find('NetworkPolicy').spec.ingress[0].ports).toEqual([{ port }]);
    const probes = { startupProbe: '/healthz', livenessProbe: '/healthz', readinessProbe: '/readyz' };
    const server = readFileSync('src/http/server.ts', 'utf8');
    for (const [probe, path] of Object.entries(probes)) {
      expect(container[probe].httpGet).toMatchObject({
        path,
        port: 'http',
        httpHeaders: [{ name: 'Host', value: `localhost:${port}` }],
      });
      expect(server).toContain(`case '${path}':`);
    }
  });

  it('a pod has no right that it does not need, and time to stop', () => {
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65532,
      fsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(60);
    expect(find('PodDisruptionBudget').spec.maxUnavailable).toBe(1);
    expect(spec.replicas).toBeGreaterThan(1);
    expect(container.resources).toMatchObject({
      requests: { memory: expect.any(String) },
      limits: { memory: expect.any(String) },
    });
  });

  it('the image is the one that is built, by the same user', () => {
    const dockerfile = readFileSync('deploy/container/Dockerfile', 'utf8');
    expect(dockerfile).toMatch(/^USER 65532:65532$/m);
    expect(dockerfile).toMatch(new RegExp(`^VOLUME ${config.data}$`, 'm'));
    expect(dockerfile).toMatch(new RegExp(`^EXPOSE ${config.listen.port}$`, 'm'));
    const [kustomization] = read('kustomization.yaml') as unknown as { images: { name: string }[] }[];
    expect(kustomization?.images.map(({ name }) => name)).toEqual([container.image]);
  });
});
