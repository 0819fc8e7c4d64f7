import t from 'tap'
import { readFileSync } from 'node:fs'
import { compile } from '../src/kit/plan/compile.ts'
import { elsewhere } from '../src/kit/plan/elsewhere.ts'
import type { Compiled } from '../src/kit/plan/plan.ts'
import { noticeReasons, podData, policyOf } from './support-plan.ts'

/** Every field of a pod spec in Kubernetes v1.35 (and what v1.36 adds), from the published API types. */
const types = JSON.parse(readFileSync(new URL('pod-fields.json', import.meta.url), 'utf8')) as Record<
  string,
  Record<string, string>
>

/** What must stand around a field for it to mean anything. */
const surroundings: Record<string, unknown> = {
  'spec.initContainers.*': { name: 'init', image: 'host', restartPolicy: 'Always' },
  'spec.containers.*.env.*': { name: 'E' },
  'spec.containers.*.ports.*': { containerPort: 80 },
  'spec.containers.*.volumeMounts.*': { name: 'v', mountPath: '/v' },
  'spec.containers.*.volumeDevices.*': { name: 'v', devicePath: '/d' },
  'spec.containers.*.resizePolicy.*': { resourceName: 'cpu', restartPolicy: 'NotRequired' },
  'spec.volumes.*': { name: 'v' },
  'spec.volumes.*.configMap': { name: 'app' },
  'spec.volumes.*.configMap.items.*': { key: 'a', path: 'a' },
  'spec.volumes.*.secret': { secretName: 'key' },
  'spec.volumes.*.secret.items.*': { key: 'token', path: 'token' },
  'spec.volumes.*.downwardAPI.items.*': { path: 'p' },
  'spec.volumes.*.projected.sources.*.configMap.items.*': { key: 'a', path: 'p' },
  'spec.volumes.*.projected.sources.*.secret.items.*': { key: 'a', path: 'p' },
  'spec.volumes.*.projected.sources.*.downwardAPI.items.*': { path: 'p' },
  'spec.volumes.*.hostPath': { path: '/data' },
  'spec.hostAliases.*': { ip: '10.0.0.9', hostnames: ['h'] },
  'spec.securityContext.sysctls.*': { name: 'a.b', value: '1' },
  'spec.resourceClaims.*': { name: 'c' }
}
for (const probe of [
  'startupProbe',
  'livenessProbe',
  'readinessProbe',
  'lifecycle.postStart',
  'lifecycle.preStop'
]) {
  const at = `spec.containers.*.${probe}`
  surroundings[`${at}.httpGet`] = { port: 80 }
  surroundings[`${at}.tcpSocket`] = { port: 80 }
  surroundings[`${at}.grpc`] = { port: 80 }
  surroundings[`${at}.httpGet.httpHeaders.*`] = { name: 'A', value: 'b' }
  if (!probe.startsWith('lifecycle')) {
    for (const field of [
      'failureThreshold',
      'initialDelaySeconds',
      'periodSeconds',
      'successThreshold',
      'timeoutSeconds',
      'terminationGracePeriodSeconds'
    ]) {
      surroundings[`${at}.${field}`] = { tcpSocket: { port: 80 } }
    }
  }
}
/** Sources that are there unless the field under test says what happens when they are not. */
surroundings['spec.volumes.*.configMap.optional'] = { name: 'none' }
surroundings['spec.volumes.*.secret.optional'] = { secretName: 'none' }
for (const source of ['configMap', 'secret']) {
  surroundings[`spec.volumes.*.projected.sources.*.${source}.optional`] = {
    items: [{ key: 'a', path: 'absent' }]
  }
}
surroundings['spec.volumes.*.projected.sources.*.clusterTrustBundle.optional'] = { path: 'absent' }
for (const owner of ['spec', 'spec.containers.*']) {
  for (const profile of ['seccompProfile', 'appArmorProfile']) {
    surroundings[`${owner}.securityContext.${profile}`] = { type: 'Localhost' }
  }
}

const samples: Record<string, unknown> = {
  'spec.dnsPolicy': 'ClusterFirst',
  'spec.restartPolicy': 'Never',
  'spec.hostUsers': false,
  'spec.containers.*.imagePullPolicy': 'Never',
  'spec.containers.*.restartPolicy': 'Never',
  'spec.containers.*.terminationMessagePolicy': 'FallbackToLogsOnError',
  'spec.containers.*.workingDir': '/work',
  'spec.containers.*.terminationMessagePath': '/dev/message',
  'spec.containers.*.securityContext.allowPrivilegeEscalation': false,
  'spec.containers.*.volumeMounts.*.mountPropagation': 'HostToContainer',
  'spec.containers.*.volumeMounts.*.recursiveReadOnly': 'Enabled',
  'spec.containers.*.volumeMounts.*.name': 'v2',
  'spec.volumes.*.emptyDir.medium': 'Memory',
  'spec.volumes.*.emptyDir.sizeLimit': '1Mi',
  'spec.volumes.*.hostPath.path': '/data/x'
}
const byType: Record<string, unknown> = {
  string: 'sample',
  number: 7,
  boolean: true,
  map: { cpu: '1' },
  object: { some: 'thing' },
  IntOrString: 81,
  'string[]': ['sample'],
  'number[]': [7],
  'object[]': [{ some: 'thing' }]
}

interface Leaf {
  /** With `*` for indexes. */
  readonly path: string
  readonly sample: unknown
}

function* leaves(type: string, path: string): Generator<Leaf> {
  for (const [field, fieldType] of Object.entries(types[type]!)) {
    const inner = fieldType.replace('[]', '')
    const at = `${path}.${field}`
    // Init containers have the same type as containers; ephemeral ones come later, by another door.
    if (at === 'spec.initContainers' || at === 'spec.containers' || at === 'spec.ephemeralContainers') {
      if (at === 'spec.containers') yield* leaves('Container', 'spec.containers.*')
    } else if (types[inner]) {
      yield* leaves(inner, fieldType.endsWith('[]') ? `${at}.*` : at)
    } else yield { path: at, sample: samples[at] ?? byType[fieldType] }
  }
}

type Json = Record<string, unknown>

/** The smallest pod around a field, with the field where `value` is given. */
function podWith(path: string, value?: unknown): Compiled {
  const inVolume = path.startsWith('spec.volumes.') || path.includes('.volumeMounts.')
  const data = podData({
    container: path.startsWith('spec.volumes.') ? { volumeMounts: [{ name: 'v', mountPath: '/v' }] } : {},
    spec: inVolume
      ? {
          volumes: [
            { name: 'v', ...(path.endsWith('recursiveReadOnly') && { hostPath: { path: '/data' } }) },
            { name: 'v2', emptyDir: {} }
          ]
        }
      : {},
    sent: {
      configMaps: [{ metadata: { name: 'app' }, data: { a: 'x', sample: 'y' } }],
      secrets: [{ metadata: { name: 'key' }, data: { token: 'eA==' } }],
      projectedvolumemaps: [{ metadata: { name: 'v' }, data: { p: 'x' } }]
    }
  })
  const parts = path.split('.')
  let node = data.pod as unknown as Json
  parts.forEach((part, index) => {
    const here = parts.slice(0, index + 1).join('.')
    const last = index === parts.length - 1
    if (last) {
      Object.assign(node, surroundings[here])
      if (value !== undefined) node[part] = value
      return
    }
    const key = part === '*' ? 0 : part
    const next = ((node as Json)[key] ??= parts[index + 1] === '*' ? [] : {}) as Json
    if (!Array.isArray(next)) Object.assign(next, { ...(surroundings[here] as Json), ...next })
    node = next
  })
  return compile(data, policyOf({ hostPaths: [{ path: '/data', readOnly: false }] }))
}

const said = (result: Compiled): string[] =>
  'plan' in result
    ? result.plan.notices.flatMap(({ message }) => message.split(': ')[0]!.split(', '))
    : result.refusals.map(({ field }) => field)

/** Whether `told` names the field or something it belongs to. */
const covers = (told: string, path: string) => {
  const field = told.replaceAll(/\[\d+\]/g, '.*')
  return path === field || path.startsWith(`${field}.`)
}

t.test(
  'every field of a pod has an effect on the plan, is told, is refused, or is listed with a reason',
  async (t) => {
    const seen = new Set<string>()
    let count = 0
    for (const { path, sample } of leaves('PodSpec', 'spec')) {
      count++
      const reason = Object.keys(elsewhere).find((field) => covers(field, path))
      if (reason) {
        seen.add(reason)
        continue
      }
      const without = podWith(path)
      const result = podWith(path, sample)
      const told = said(result).find(
        (field) => covers(field, path) && field !== 'spec.volumes' && field !== 'spec'
      )
      const changed = JSON.stringify(without) !== JSON.stringify(result)
      if (!told && !changed) t.fail(path, { sample, result })
    }
    t.ok(count > 300, `${count} fields were tried`)
    const unused = Object.keys(elsewhere).filter((field) => !seen.has(field))
    t.strictSame(unused, ['spec.ephemeralContainers'], 'no reason is given for a field that is not there')
  }
)

t.test('a field of a later Kubernetes is told as unknown', async (t) => {
  t.strictSame(noticeReasons({ spec: { quantumEntanglement: true } }), ['UnknownField'])
  t.strictSame(noticeReasons({ container: { warmth: 1, securityContext: { kindness: true } as object } }), [
    'UnknownField'
  ])
})
