import t from 'tap'
import { readFile, writeFile } from 'node:fs/promises'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { join } from 'node:path'
import { kubectlEnv, kubectlFor, type Kubectl } from '../support/kubectl.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'

const container = { name: 'main', image: 'reg:5000/image' }
const template = (more: object = {}) => ({
  metadata: { labels: { app: 'x' } },
  spec: { containers: [container], ...more }
})
const selector = { matchLabels: { app: 'x' } }
const pod = (spec: object) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', annotations: { note: 'x' } },
  spec: { containers: [container], ...spec }
})
const job = (spec: object) => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'j' },
  spec: { template: { spec: { restartPolicy: 'Never', containers: [container] } }, ...spec }
})

/** Objects that the API fills in; both clusters must come to the same. */
const accepted: Record<string, object> = {
  'a bare pod': pod({}),
  'a pod with much in it': pod({
    initContainers: [
      { name: 'pinned', image: `a:1@sha256:${'0'.repeat(64)}` },
      { name: 'side', image: 'b', restartPolicy: 'Always', startupProbe: { exec: { command: ['a'] } } }
    ],
    containers: [
      {
        ...container,
        ports: [{ containerPort: 80, hostPort: 81 }],
        env: [
          { name: 'EMPTY', value: '' },
          { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
          { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'KEY', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }
        ],
        readinessProbe: { grpc: { port: 3 }, initialDelaySeconds: 0 },
        lifecycle: { preStop: { httpGet: { port: 1 } } },
        resources: { limits: { cpu: 1, memory: '1024Mi', 'nvidia.com/gpu': 1 }, requests: { cpu: 0.5 } },
        tty: false
      }
    ],
    hostNetwork: false,
    volumes: [
      { name: 'bare' },
      { name: 'down', downwardAPI: { items: [{ path: 'x', fieldRef: { fieldPath: 'metadata.name' } }] } },
      {
        name: 'many',
        projected: { sources: [{ serviceAccountToken: { path: 't' } }, { secret: { name: 's' } }] }
      },
      { name: 'host', hostPath: { path: '/x' } },
      { name: 'secret', secret: { secretName: 's', items: [{ key: 'a', path: 'b', mode: 256 }] } }
    ]
  }),
  'a job': job({}),
  'an indexed job': job({ completions: 3, completionMode: 'Indexed', backoffLimitPerIndex: 1 }),
  'a deployment': {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: { selector, template: template() }
  },
  'a secret of plain strings': {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    stringData: { a: 'b' }
  },
  'a role binding': {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'rb' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
    subjects: [
      { kind: 'ServiceAccount', name: 'a', namespace: 'b' },
      { kind: 'User', name: 'u' }
    ]
  },
  'a lease': {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'l' },
    spec: { holderIdentity: 'x', renewTime: '2026-01-01T00:00:00.120000Z' }
  }
}

/** Objects that the API refuses; both clusters must name the same fields. */
const refused: Record<string, object> = {
  'no containers': pod({ containers: [] }),
  'a name and a mount that are wrong': pod({
    containers: [{ name: 'A_b', image: 'x', volumeMounts: [{ name: 'q', mountPath: '/x' }] }]
  }),
  'a port, a probe and a request that are wrong': pod({
    containers: [
      {
        ...container,
        ports: [{ containerPort: 99999 }],
        livenessProbe: {},
        resources: { requests: { cpu: 2 }, limits: { cpu: 1 } }
      }
    ]
  }),
  'two volumes of one name': pod({ volumes: [{ name: 'v' }, { name: 'v', emptyDir: {} }] }),
  'a job that always restarts': job({
    template: { spec: { restartPolicy: 'Always', containers: [container] } }
  }),
  'a selector that misses its template': {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: { selector: { matchLabels: { app: 'y' } }, template: template() }
  }
}

void t.test('the embedded cluster answers as a real API server does', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const real = await startControlPlane({ scheduler: false })
  t.teardown(() => real.stop())
  const directory = temporaryDirectory('parity')
  t.teardown(() => directory.remove())
  const dev = await startDevCluster({ scheduler: false })
  t.teardown(() => dev.close())
  const kubeconfigPath = join(directory.path, 'kubeconfig')
  await writeFile(kubeconfigPath, dev.kubeconfig, { mode: 0o600 })
  const clusters = [kubectlFor(kubectlEnv(kubeconfigPath, directory.path)), real.kubectl]
  const ask = (kubectl: Kubectl, input: string) =>
    kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], { input })

  for (const name of ['hello', 'rich', 'hardened', 'deployment', 'indexed-job'])
    await t.test(`it fills in examples/${name}.yaml alike`, async (t) => {
      const text = await readFile(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8')
      const [ours, theirs] = await Promise.all(clusters.map((kubectl) => ask(kubectl, text)))
      t.equal(ours!.code, 0, ours!.stderr)
      t.same(settled(ours!.stdout), settled(theirs!.stdout))
    })
  for (const [name, object] of Object.entries(accepted))
    await t.test(`it fills in ${name} alike`, async (t) => {
      const [ours, theirs] = await Promise.all(
        clusters.map((kubectl) => ask(kubectl, JSON.stringify(object)))
      )
      t.equal(theirs!.code, 0, theirs!.stderr)
      t.same(settled(ours!.stdout), settled(theirs!.stdout))
    })
  for (const [name, object] of Object.entries(refused))
    await t.test(`it refuses ${name} alike`, async (t) => {
      const [ours, theirs] = await Promise.all(
        clusters.map((kubectl) => ask(kubectl, JSON.stringify(object)))
      )
      t.equal(theirs!.code, 1)
      t.same(fields(ours!.stderr), fields(theirs!.stderr), `${ours!.stderr}\n${theirs!.stderr}`)
    })
})

/** The objects printed, without what differs from one creation to the next. */
function settled(printed: string): unknown[] {
  const plain = printed
    .replaceAll(/kube-api-access-\w{5}/g, 'kube-api-access-xxxxx')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UID')
  return plain
    .split(/\n(?=\{)/)
    .flatMap((text) => {
      const object = JSON.parse(text) as { items?: unknown[] }
      return object.items ?? [object]
    })
    .map((object) => {
      const { metadata, ...rest } = object as { metadata: Record<string, unknown> }
      const { creationTimestamp: _at, resourceVersion: _version, managedFields: _managed, ...kept } = metadata
      return { ...rest, metadata: kept }
    })
}

const fields = (message: string): string[] =>
  [...message.matchAll(/\b((?:spec|metadata)[\w.[\]]*): /g)].map(([, field]) => field!).sort()
