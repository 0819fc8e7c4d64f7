import t from 'tap'
import type { Volume } from '@interlink-ts/interlink-api/wire'
import { base64, noticeReasons, planOf, refusalsOf, refusedFields, type Given } from './support-plan.ts'

const mount = { name: 'v', mountPath: '/v' }
const volume = (source: object, more: Given = {}): Given => ({
  ...more,
  container: { volumeMounts: [mount], ...more.container },
  spec: { volumes: [{ name: 'v', ...source } as Volume] }
})
const filesOf = (given: Given) => {
  const [first] = planOf(given).volumes
  if (first?.kind !== 'files') throw new Error('no files')
  return Object.fromEntries(
    first.files.map(({ path, mode, base64 }) => [
      path,
      [Buffer.from(base64, 'base64').toString('latin1'), mode]
    ])
  )
}
const app = {
  configMaps: [{ metadata: { name: 'app' }, data: { a: 'text\n', b: 'two' }, binaryData: { bin: 'AP+A' } }],
  secrets: [{ metadata: { name: 'key' }, data: { token: base64('s3cret') } }]
}

t.test('a ConfigMap becomes files: text and binary, items, modes', async (t) => {
  t.strictSame(filesOf(volume({ configMap: { name: 'app' } }, { sent: app })), {
    a: ['text\n', 0o644],
    b: ['two', 0o644],
    bin: ['\0\xff\x80', 0o644]
  })
  const items = [
    { key: 'a', path: 'dir/a.txt', mode: 0o400 },
    { key: 'b', path: 'b' }
  ]
  t.strictSame(filesOf(volume({ configMap: { name: 'app', defaultMode: 0o640, items } }, { sent: app })), {
    'dir/a.txt': ['text\n', 0o400],
    b: ['two', 0o640]
  })
})

t.test('a Secret becomes files of a volume that is marked secret and mounted read-only', async (t) => {
  const plan = planOf(volume({ secret: { secretName: 'key' } }, { sent: app }))
  t.match(plan.volumes, [
    { kind: 'files', secret: true, files: [{ path: 'token', base64: base64('s3cret') }] }
  ])
  t.match(plan.containers[0]!.mounts, [{ volume: 'v', mountPath: '/v', readOnly: true }])
})

t.test('an object or key that is not there is refused, or left out where it is optional', async (t) => {
  t.strictSame(refusedFields(volume({ configMap: { name: 'none' } })), ['spec.volumes[0].configMap'])
  t.strictSame(filesOf(volume({ configMap: { name: 'none', optional: true } })), {})
  const items = [{ key: 'nope', path: 'x' }]
  t.strictSame(refusedFields(volume({ configMap: { name: 'app', items } }, { sent: app })), [
    'spec.volumes[0].configMap.items[0].key'
  ])
  t.strictSame(filesOf(volume({ configMap: { name: 'app', items, optional: true } }, { sent: app })), {})
})

t.test('projected and downwardAPI volumes take content from the node and modes from the pod', async (t) => {
  const projectedvolumemaps = [
    { metadata: { name: 'v' }, data: { token: 't', x: 'new' }, binaryData: { bin: 'AP8=' } }
  ]
  const sources = [
    { serviceAccountToken: { path: 'token' } },
    { configMap: { name: 'app', items: [{ key: 'a', path: 'x', mode: 0o600 }] } },
    { downwardAPI: { items: [{ path: 'x', mode: 0o440, fieldRef: { fieldPath: 'metadata.name' } }] } },
    { configMap: { name: 'app' } }
  ]
  const given = volume({ projected: { defaultMode: 0o444, sources } }, { sent: { projectedvolumemaps } })
  t.strictSame(filesOf(given), { token: ['t', 0o444], x: ['new', 0o440], bin: ['\0\xff', 0o444] })
  t.match(planOf(given).volumes, [{ secret: true }])
  const items = [{ path: 'x', mode: 0o400, fieldRef: { fieldPath: 'metadata.labels' } }]
  t.match(filesOf(volume({ downwardAPI: { items } }, { sent: { projectedvolumemaps } })), {
    x: ['new', 0o400]
  })
  t.strictSame(
    refusedFields(
      volume(
        { downwardAPI: { items: [...items, { ...items[0]!, path: 'y' }] } },
        { sent: { projectedvolumemaps } }
      )
    ),
    ['spec.volumes[0].downwardAPI.items[1]']
  )
})

t.test('a node that gives no tokens is told of, not refused', async (t) => {
  const name = 'kube-api-access-x1'
  const given: Given = {
    container: { volumeMounts: [{ name, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }] },
    spec: { volumes: [{ name, projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }] }
  }
  t.strictSame(noticeReasons(given), ['ServiceAccountNotGiven'])
})

t.test('paths that leave a volume are refused', async (t) => {
  for (const path of ['../a', '/a', 'a/../../b', '', 'a//b', '..data', 'a\0', './a']) {
    const given = volume({ configMap: { name: 'app', items: [{ key: 'a', path }] } }, { sent: app })
    t.strictSame(refusedFields(given), ['spec.volumes[0].configMap'], JSON.stringify(path))
  }
  for (const subPath of ['../a', '/a', 'a/../../b', 'a\0']) {
    const given = volume({ emptyDir: {} }, { container: { volumeMounts: [{ ...mount, subPath }] } })
    t.strictSame(
      refusedFields(given),
      ['spec.containers[0].volumeMounts[0].subPath'],
      JSON.stringify(subPath)
    )
  }
  const items = [
    { key: 'a', path: 'x' },
    { key: 'b', path: 'x/y' }
  ]
  t.strictSame(refusedFields(volume({ configMap: { name: 'app', items } }, { sent: app })), [
    'spec.volumes[0].configMap'
  ])
})

t.test('subPath names a file, a directory, or what subPathExpr makes of the environment', async (t) => {
  const mounted = (more: object, source: object = { emptyDir: {} }) =>
    planOf(
      volume(source, {
        sent: app,
        container: { env: [{ name: 'POD', value: 'p1' }], volumeMounts: [{ ...mount, ...more }] }
      })
    ).containers[0]!.mounts[0]
  t.match(mounted({ subPath: 'a//b/./' }), { subPath: 'a/b' })
  t.match(mounted({ subPathExpr: 'logs/$(POD)' }), { subPath: 'logs/p1' })
  t.match(mounted({ subPath: 'a' }, { configMap: { name: 'app' } }), { subPath: 'a', readOnly: true })
  const bad = (more: object, source: object = { emptyDir: {} }) =>
    refusedFields(volume(source, { sent: app, container: { volumeMounts: [{ ...mount, ...more }] } }))
  t.strictSame(bad({ subPathExpr: '$(NONE)' }), ['spec.containers[0].volumeMounts[0].subPathExpr'])
  t.strictSame(bad({ subPath: 'none' }, { configMap: { name: 'app' } }), [
    'spec.containers[0].volumeMounts[0].subPath'
  ])
})

t.test('emptyDir keeps medium and size', async (t) => {
  const plan = planOf(volume({ emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } }))
  t.strictSame(plan.volumes, [{ name: 'v', kind: 'emptyDir', memory: true, sizeBytes: 67108864 }])
  t.strictSame(refusedFields(volume({ emptyDir: { sizeLimit: 'much' } })), [
    'spec.volumes[0].emptyDir.sizeLimit'
  ])
})

t.test('a host path is mounted where the policy opens it, and only as it does', async (t) => {
  const hostPaths = [
    { path: '/data/', readOnly: true },
    { path: '/data/scratch', readOnly: false }
  ]
  const at = (path: string, readOnly?: boolean, type?: string) =>
    volume(
      { hostPath: { path, type } },
      { policy: { hostPaths }, container: { volumeMounts: [{ ...mount, readOnly }] } }
    )
  t.match(planOf(at('/data/set', true, 'Directory')), {
    volumes: [{ kind: 'hostPath', path: '/data/set', type: 'Directory' }],
    containers: [{ mounts: [{ readOnly: true }] }]
  })
  t.match(planOf(at('/data/scratch/a')).containers[0]!.mounts, [{ readOnly: false }])
  t.strictSame(refusedFields(at('/data/set')), ['spec.containers[0].volumeMounts[0].readOnly'])
  for (const path of ['/database', '/', '/data/../etc', 'data', '/etc']) {
    t.strictSame(refusedFields(at(path, true)), ['spec.volumes[0].hostPath.path'], path)
  }
  t.strictSame(refusedFields(at('/data', true, 'Floppy')), ['spec.volumes[0].hostPath.type'])
})

t.test('claims and other sources are refused by name', async (t) => {
  t.match(refusalsOf(volume({ persistentVolumeClaim: { claimName: 'home' } })), [
    { field: 'spec.volumes[0].persistentVolumeClaim', message: /the claim home .*emptyDir/ }
  ])
  for (const source of ['nfs', 'csi', 'ephemeral', 'image', 'iscsi']) {
    t.match(refusalsOf(volume({ [source]: {} })), [
      { field: `spec.volumes[0].${source}`, message: new RegExp(source) }
    ])
  }
})

t.test('mounts of nothing, twice, or out of the root are refused', async (t) => {
  const at = 'spec.containers[0].volumeMounts'
  const given = (...volumeMounts: object[]) =>
    volume({ emptyDir: {} }, { container: { volumeMounts: volumeMounts as never } })
  t.strictSame(refusedFields(given({ name: 'w', mountPath: '/w' })), [`${at}[0].name`])
  t.strictSame(refusedFields(given(mount, { ...mount, mountPath: '/v/' })), [`${at}[1].mountPath`])
  t.strictSame(refusedFields(given({ ...mount, mountPath: '/a/../..' })), [`${at}[0].mountPath`])
  t.strictSame(refusedFields(given({ ...mount, mountPropagation: 'Bidirectional' })), [
    `${at}[0].mountPropagation`
  ])
  t.equal(planOf(given({ ...mount, mountPath: 'relative' })).containers[0]!.mounts[0]!.mountPath, '/relative')
})
