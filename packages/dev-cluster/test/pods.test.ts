import t from 'tap'
import { canonical, quantity } from '../src/quantity.ts'
import { devCluster, pod, podsPath, type Loose } from './support.ts'

const create = async (t: Parameters<typeof devCluster>[0]) => {
  const { api } = await devCluster(t, { scheduler: false })
  let count = 0
  return (spec: object, metadata: object = {}, query = '') =>
    api('POST', `${podsPath}${query}`, pod(`p${count++}`, spec as never, metadata as never))
}
const causes = (body: Loose) =>
  (body.details!.causes as unknown as { field: string; message: string }[]).map(({ field, message }) => [
    field,
    message
  ])

void t.test('a pod is filled in as the real API server does', async (t) => {
  const make = await create(t)
  const { body } = await make({
    containers: [
      {
        name: 'main',
        image: 'python:3.12',
        ports: [{ containerPort: 80 }],
        env: [{ name: 'N', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
        resources: { limits: { cpu: 1, memory: '1Gi' } },
        livenessProbe: { httpGet: { port: 80 } }
      },
      { name: 'latest', image: 'python' }
    ],
    volumes: [{ name: 'v', configMap: { name: 'c' } }, { name: 'nothing' }]
  })
  t.match(body.spec, {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
    serviceAccountName: 'default',
    priority: 0,
    tolerations: [
      { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute', tolerationSeconds: 300 },
      { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', tolerationSeconds: 300 }
    ],
    volumes: [
      { configMap: { defaultMode: 420 } },
      { name: 'nothing', emptyDir: {} },
      {
        name: /^kube-api-access-[a-z0-9]{5}$/,
        projected: { sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }, {}, {}] }
      }
    ],
    containers: [
      {
        imagePullPolicy: 'IfNotPresent',
        terminationMessagePath: '/dev/termination-log',
        ports: [{ protocol: 'TCP' }],
        env: [{ valueFrom: { fieldRef: { apiVersion: 'v1' } } }],
        resources: { limits: { cpu: '1' }, requests: { cpu: '1', memory: '1Gi' } },
        livenessProbe: { httpGet: { path: '/', scheme: 'HTTP' }, periodSeconds: 10, failureThreshold: 3 },
        volumeMounts: [{ readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }]
      },
      { imagePullPolicy: 'Always' }
    ]
  })
  t.match(body.status, { phase: 'Pending', qosClass: 'Burstable' })
})

void t.test('the quality of service follows from requests and limits', async (t) => {
  const make = await create(t)
  const classOf = async (resources: object) =>
    (await make({ containers: [{ name: 'a', image: 'x', resources }] })).body.status!.qosClass
  t.equal(await classOf({}), 'BestEffort')
  t.equal(await classOf({ requests: { cpu: '1' } }), 'Burstable')
  t.equal(await classOf({ limits: { cpu: '1', memory: '1Gi' } }), 'Guaranteed')
})

void t.test('no token is mounted where the pod or its account says so', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  const accounts = '/api/v1/namespaces/default/serviceaccounts'
  await api('POST', accounts, { metadata: { name: 'quiet' }, automountServiceAccountToken: false })
  const volumes = async (name: string, spec: object) =>
    (await api('POST', podsPath, pod(name, spec as never))).body.spec!.volumes
  t.notOk(await volumes('a', { automountServiceAccountToken: false }))
  t.notOk(await volumes('b', { serviceAccountName: 'quiet' }))
  t.ok(await volumes('c', { serviceAccountName: 'quiet', automountServiceAccountToken: true }))
  t.match(await api('POST', podsPath, pod('d', { serviceAccountName: 'nobody' })), {
    status: 403,
    body: { message: /serviceaccount "nobody" not found/ }
  })
})

void t.test('every mistake in a pod is named by its field', async (t) => {
  const make = await create(t)
  const { status, body } = await make({
    containers: [
      {
        name: 'Bad_Name',
        image: 'x',
        volumeMounts: [{ name: 'missing', mountPath: '/m' }],
        resources: { requests: { cpu: '2', 'nvidia.com/gpu': '1' }, limits: { cpu: '1' } }
      },
      { name: 'twice', image: 'x', livenessProbe: {} },
      { name: 'twice', image: '' }
    ],
    volumes: [
      { name: 'empty' },
      { name: 'empty', secret: {} },
      { name: 'both', emptyDir: {}, hostPath: { path: '/' } }
    ]
  })
  t.equal(status, 422)
  t.match(body, { reason: 'Invalid', message: /^Pod "p0" is invalid: / })
  const fields = causes(body)
  for (const expected of [
    ['spec.volumes[2].hostPath', 'Forbidden: may not specify more than 1 volume type'],
    ['spec.volumes[1].name', 'Duplicate value: "empty"'],
    ['spec.containers[0].volumeMounts[0].name', 'Not found: "missing"'],
    ['spec.containers[1].livenessProbe', 'Required value: must specify a handler type'],
    ['spec.containers[2].name', 'Duplicate value: "twice"'],
    ['spec.containers[2].image', 'Required value'],
    [
      'spec.containers[0].resources.requests',
      'Invalid value: "2": must be less than or equal to cpu limit of 1'
    ],
    [
      'spec.containers[0].resources.limits.nvidia.com/gpu',
      'Required value: Limit must be set for non overcommitable resources'
    ]
  ])
    t.ok(
      fields.some(([field, message]) => field === expected[0] && message === expected[1]),
      expected.join(' ')
    )
  t.ok(fields.some(([field]) => field === 'spec.containers[0].name'))
})

void t.test('missing and unknown values are refused by the type of the field', async (t) => {
  const make = await create(t)
  t.match(causes((await make({ containers: undefined })).body), [['spec.containers', 'Required value']])
  t.match(causes((await make({ restartPolicy: 'Maybe' })).body), [
    ['spec.restartPolicy', /^Unsupported value: "Maybe": supported values: "Always"/]
  ])
  t.match(causes((await make({}, { labels: { a: 'b c' } })).body), [
    ['metadata.labels', /^Invalid value: "b c"/]
  ])
  t.match(causes((await make({}, { name: 'A' })).body), [['metadata.name', /RFC 1123/]])
})

void t.test('a value of the wrong type is a bad request that names the field', async (t) => {
  const make = await create(t)
  const wrong = await make({ containers: [{ name: 'a', image: 'x', env: [{ name: 'N', value: 1 }] }] })
  t.match(wrong, {
    status: 400,
    body: { message: /spec\.containers\[0\]\.env\[0\]\.value: expected a string, found 1; quote it/ }
  })
  t.match(await make({ containers: {} }), {
    status: 400,
    body: { message: /spec\.containers: expected a list/ }
  })
})

void t.test('an unknown field is an error, a warning, or nothing, as the caller asks', async (t) => {
  const make = await create(t)
  const typo = { restartPolcy: 'Never' }
  t.match(await make(typo, {}, '?fieldValidation=Strict'), {
    status: 400,
    body: { message: /unknown field "spec.restartPolcy"/ }
  })
  const warned = await make(typo)
  t.match(warned, { status: 201, headers: { warning: /unknown field/ } })
  t.notOk(warned.body.spec!.restartPolcy)
  t.notOk((await make(typo, {}, '?fieldValidation=Ignore')).headers.warning)
})

void t.test('what a pod is cannot be changed later, but for a few fields', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('a'))
  const json = { 'content-type': 'application/json-patch+json' }
  const replace = (path: string, value: unknown) =>
    api('PATCH', `${podsPath}/a`, [{ op: 'add', path, value }], json)
  t.match(await replace('/spec/containers/0/command', ['x']), {
    status: 422,
    body: { details: { causes: [{ field: 'spec', reason: 'FieldValueForbidden' }] } }
  })
  t.match(await replace('/spec/containers/0/image', 'other'), {
    status: 200,
    body: { metadata: { generation: 2 } }
  })
  t.match(await replace('/spec/activeDeadlineSeconds', 9), { status: 200 })
  t.match(await replace('/spec/tolerations', []), { status: 200 }, 'admission puts the tolerations back')
})

void t.test('quantities are written the one way the real API writes them', (t) => {
  for (const [given, written] of [
    ['0.5', '500m'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['1000m', '1'],
    ['2000k', '2M'],
    ['1023', '1023'],
    ['0.1Ki', '102400m'],
    ['1e3', '1e3'],
    ['12e6', '12e6'],
    ['-1500m', '-1500m'],
    ['0Gi', '0'],
    ['.5', '500m'],
    ['1n', '1n'],
    ['0.1n', '1n'],
    ['1Zi', undefined],
    ['', undefined]
  ] as const)
    t.equal(canonical(given), written, given)
  t.equal(quantity('1.5Gi'), 1.5 * 2 ** 30)
  t.equal(quantity('100m'), 0.1)
  t.end()
})
