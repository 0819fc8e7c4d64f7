import t from 'tap'
import type {
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodStatus
} from '@interlink-ts/interlink-api/wire'
import { createRequest } from '../src/model/create-request.ts'
import { expand } from '../src/model/expand.ts'
import { fieldValue, resourceValue } from '../src/model/fields.ts'
import { computePhase } from '../src/model/phase.ts'
import { computePodStatus, type PodStatusInput } from '../src/model/pod-status.ts'
import { qosClass } from '../src/model/qos.ts'
import { tokenKey } from '../src/model/references.ts'
import type { Resolution } from '../src/model/resolution.ts'
import { same, statusPatch } from '../src/model/status-patch.ts'

const now = '2026-01-01T00:00:10Z'
const container = (name: string, more: Partial<Container> = {}): Container => ({
  name,
  image: `${name}:1`,
  ...more
})
const makePod = (spec: Partial<Pod['spec']> = {}, more: Partial<Pod> = {}): Pod => ({
  metadata: {
    name: 'p',
    namespace: 'ns',
    uid: 'u-1',
    generation: 3,
    labels: { b: '2', a: 'x"y' },
    annotations: { k: 'v' }
  },
  spec: {
    nodeName: 'edge',
    serviceAccountName: 'sa',
    restartPolicy: 'Never',
    containers: [container('main')],
    ...spec
  },
  ...more
})
const addresses = { hostIP: '10.0.0.1', podIP: '10.0.0.2' }

t.test('variables are expanded once, and what is not defined stays', async (t) => {
  const env: Record<string, string> = { A: '1', B: '$(A)', 'a-b.c': 'odd' }
  const cases: Record<string, string> = {
    '$(A)': '1',
    'x$(A)y$(A)': 'x1y1',
    '$(B)': '$(A)',
    '$(NONE)': '$(NONE)',
    '$$(A)': '$(A)',
    '$$$(A)': '$1',
    $A: '$A',
    '$(A': '$(A',
    $: '$',
    $$: '$',
    '$(a-b.c)': 'odd',
    '$()': '$()',
    '': ''
  }
  for (const [text, result] of Object.entries(cases))
    t.equal(
      expand(text, (name) => env[name]),
      result,
      text
    )
})

t.test('every field path of a kubelet is known, and no other', async (t) => {
  const pod = makePod()
  const cases: Record<string, string | undefined> = {
    'metadata.name': 'p',
    'metadata.namespace': 'ns',
    'metadata.uid': 'u-1',
    "metadata.labels['a']": 'x"y',
    "metadata.labels['none']": '',
    "metadata.annotations['k']": 'v',
    'metadata.labels': 'a="x\\"y"\nb="2"',
    'spec.nodeName': 'edge',
    'spec.serviceAccountName': 'sa',
    'status.hostIP': '10.0.0.1',
    'status.hostIPs': '10.0.0.1',
    'status.podIP': '10.0.0.2',
    'status.podIPs': '10.0.0.2',
    'spec.hostname': undefined,
    'status.phase': undefined
  }
  for (const [path, value] of Object.entries(cases)) t.equal(fieldValue(pod, path, addresses), value, path)
})

t.test('resources are divided and rounded up, and fall back to what the node offers', async (t) => {
  const main = container('main', { resources: { limits: { cpu: '1500m' }, requests: { memory: '100Mi' } } })
  const pod = makePod({ containers: [main] })
  const allocatable = { cpu: '8', memory: '16Gi' }
  const value = (resource: string, divisor?: string) =>
    resourceValue(pod, main, { resource, divisor }, allocatable)
  t.equal(value('limits.cpu'), '2')
  t.equal(value('limits.cpu', '1m'), '1500')
  t.equal(value('limits.memory', '1Gi'), '16')
  t.equal(value('requests.memory', '1Mi'), '100')
  t.equal(value('requests.cpu', '1m'), '1500', 'a request that is not set is the limit')
  t.equal(value('requests.ephemeral-storage'), '0')
  t.equal(value('nothing.cpu'), undefined)
  t.equal(
    resourceValue(pod, undefined, { containerName: 'other', resource: 'limits.cpu' }, allocatable),
    undefined
  )
})

const resolution = (pod: Pod, more: Partial<Resolution> = {}): Resolution => ({
  pod,
  addresses,
  allocatable: {},
  configMaps: new Map(),
  secrets: new Map(),
  tokens: new Map(),
  ...more
})

t.test('the environment is envFrom, then env in order, later ones first', async (t) => {
  const pod = makePod({
    containers: [
      container('main', {
        envFrom: [
          { prefix: 'P_', configMapRef: { name: 'cm' } },
          { secretRef: { name: 's' } },
          { configMapRef: { name: 'none', optional: true } }
        ],
        env: [
          { name: 'X', value: '$(P_one) $(LATER) $(password)' },
          { name: 'P_one', value: 'own' },
          { name: 'LATER', value: 'set' },
          { name: 'EMPTY' },
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }
        ],
        command: ['$(X)', '$$(X)']
      })
    ]
  })
  const { request, remarks } = createRequest(
    resolution(pod, {
      configMaps: new Map([['cm', { metadata: { name: 'cm' }, data: { one: '1', 'a=b': '2', 'a-b': '3' } }]]),
      secrets: new Map([['s', { metadata: { name: 's' }, data: { password: 'aHVudGVyMg==' } }]]),
      kubernetesApi: { host: '10.9.8.7', port: '6443' }
    })
  )
  const sent = request?.pod.spec.containers[0]
  const env = Object.fromEntries(sent?.env?.map((one) => [one.name, one.value]) ?? [])
  t.match(env, {
    P_one: 'own',
    'P_a-b': '3',
    password: 'hunter2',
    X: '1 $(LATER) hunter2',
    LATER: 'set',
    EMPTY: '',
    IP: '10.0.0.2',
    KUBERNETES_SERVICE_HOST: '10.9.8.7',
    KUBERNETES_PORT_443_TCP: 'tcp://10.9.8.7:6443'
  })
  t.strictSame(sent?.command, ['1 $(LATER) hunter2', '$(X)'])
  t.notOk(sent?.envFrom)
  t.strictSame(remarks.map((one) => one.reason).sort(), [
    'InvalidEnvironmentVariableNames',
    'OptionalConfigMapNotFound'
  ])
  t.match(remarks.find((one) => one.reason.startsWith('Invalid'))?.message, /P_a=b/)
})

t.test(
  'volumes travel whole or as one map each, binary as binary, and the pod without ballast',
  async (t) => {
    const expirationSeconds = 600
    const pod = makePod({
      volumes: [
        { name: 'cfg', configMap: { name: 'cm', items: [{ key: 'text', path: 'a/b' }] } },
        { name: 'sec', secret: { secretName: 's', optional: true } },
        {
          name: 'down',
          downwardAPI: {
            defaultMode: 256,
            items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }]
          }
        },
        {
          name: 'all',
          projected: {
            sources: [
              { configMap: { name: 'cm' } },
              { secret: { name: 's', optional: true } },
              { serviceAccountToken: { path: 'token', audience: 'me', expirationSeconds } },
              { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } }
            ]
          }
        }
      ]
    })
    const heavy = {
      managedFields: [{}],
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', keep: 'me' }
    }
    Object.assign(pod.metadata, heavy)
    const cm = { metadata: { name: 'cm', ...heavy }, data: { text: 'é' }, binaryData: { raw: 'AP8=' } }
    const { request, missing } = createRequest(
      resolution(pod, {
        configMaps: new Map([['cm', cm]]),
        tokens: new Map([[tokenKey({ audience: 'me', expirationSeconds }), 'jwt']]),
        ca: 'PEM'
      })
    )
    t.strictSame(missing, [])
    t.strictSame(request?.configmaps, [{ ...cm, metadata: { name: 'cm', annotations: { keep: 'me' } } }])
    t.strictSame(request?.secrets, [])
    t.strictSame(request?.projectedvolumesmaps, [
      { metadata: { name: 'down' }, data: { labels: 'a="x\\"y"\nb="2"' } },
      {
        metadata: { name: 'all' },
        data: { text: 'é', token: 'jwt', 'ca.crt': 'PEM' },
        binaryData: { raw: 'AP8=' }
      }
    ])
    t.match(request?.pod.spec.volumes?.[2], { name: 'down', projected: { defaultMode: 256 } })
    t.strictSame(request?.pod.metadata.annotations, { keep: 'me', 'interlink.io/expanded': 'env,args' })
    t.notOk('managedFields' in (request?.pod.metadata ?? {}))
    t.ok(pod.spec.volumes?.[2]?.downwardAPI, 'the pod itself is left as it is')
  }
)

t.test('what is missing is named with its key and its use', async (t) => {
  const pod = makePod({
    containers: [
      container('main', {
        env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'nokey' } } }]
      })
    ],
    volumes: [{ name: 'v', secret: { secretName: 'gone' } }]
  })
  const { request, missing } = createRequest(
    resolution(pod, { configMaps: new Map([['cm', { metadata: { name: 'cm' }, data: {} }]]) })
  )
  t.notOk(request)
  t.strictSame(missing, [
    { kind: 'ConfigMap', name: 'cm', key: 'nokey', use: 'env', container: 'main' },
    { kind: 'Secret', name: 'gone', use: { volume: 'v' } }
  ])
})

t.test('the quality of service is that of the API server', async (t) => {
  const of = (...resources: Container['resources'][]) =>
    qosClass(makePod({ containers: resources.map((one, i) => container(`c${i}`, { resources: one })) }).spec)
  t.equal(of({}), 'BestEffort')
  t.equal(of({ limits: { 'nvidia.com/gpu': '1' } }), 'BestEffort')
  t.equal(of({ limits: { cpu: '1', memory: '1Gi' } }), 'Guaranteed')
  t.equal(
    of({ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m', memory: '1024Mi' } }),
    'Guaranteed'
  )
  t.equal(of({ limits: { cpu: '1', memory: '1Gi' } }, {}), 'Burstable')
  t.equal(of({ requests: { cpu: '1' } }), 'Burstable')
})

const running = { running: { startedAt: '2026-01-01T00:00:05.123Z' } }
const exited = (exitCode: number) => ({
  terminated: { exitCode, startedAt: '2026-01-01T00:00:05Z', finishedAt: '2026-01-01T00:00:09Z' }
})
const waits = (reason: string) => ({ waiting: { reason } })

t.test('the phase is the kubelet’s', async (t) => {
  type State = ContainerStatus['state']
  const phase = (
    restartPolicy: string,
    main: State[],
    options: { init?: State[]; sidecar?: State; ending?: boolean; initialized?: boolean; last?: State } = {}
  ) => {
    const inits = (options.init ?? []).map((_, i) => container(`i${i}`))
    const sidecars = 'sidecar' in options ? [container('side', { restartPolicy: 'Always' })] : []
    const spec = makePod({
      restartPolicy,
      initContainers: [...inits, ...sidecars],
      containers: main.map((_, i) => container(`c${i}`))
    }).spec
    const status = (name: string, state: State): [string, ContainerStatus] => [
      name,
      { name, state, started: state?.running !== undefined, ...(options.last && { lastState: options.last }) }
    ]
    return computePhase({
      spec,
      init: new Map([
        ...(options.init ?? []).map((state, i) => status(`i${i}`, state)),
        ...(sidecars.length > 0 ? [status('side', options.sidecar)] : [])
      ]),
      main: new Map(main.flatMap((state, i) => (state ? [status(`c${i}`, state)] : []))),
      ending: options.ending ?? false,
      initialized: options.initialized ?? false
    })
  }
  t.equal(phase('Never', [waits('ContainerCreating')]), 'Pending')
  t.equal(phase('Never', [undefined]), 'Pending', 'a container of which nothing is known')
  t.equal(phase('Never', [running, undefined]), 'Pending')
  t.equal(phase('Never', [running]), 'Running')
  t.equal(phase('Never', [running, exited(1)]), 'Running')
  t.equal(phase('Never', [exited(0), exited(0)]), 'Succeeded')
  t.equal(phase('Never', [exited(0), exited(1)]), 'Failed')
  t.equal(phase('OnFailure', [exited(1)]), 'Running', 'it will be restarted')
  t.equal(phase('OnFailure', [exited(0)]), 'Succeeded')
  t.equal(phase('Always', [exited(0)]), 'Running')
  t.equal(phase('Always', [waits('CrashLoopBackOff')], { last: exited(1) }), 'Running')
  t.equal(phase('Always', [exited(0)], { ending: true }), 'Succeeded')
  t.equal(phase('Always', [exited(137)], { ending: true }), 'Failed')
  t.equal(phase('Never', [waits('PodInitializing')], { init: [running] }), 'Pending')
  t.equal(phase('Never', [waits('PodInitializing')], { init: [exited(1)] }), 'Failed')
  t.equal(phase('Always', [waits('PodInitializing')], { init: [exited(1)] }), 'Pending')
  t.equal(phase('Never', [running], { sidecar: running }), 'Running')
  t.equal(phase('Never', [exited(0)], { sidecar: running }), 'Running', 'until the sidecar has ended')
  t.equal(phase('Never', [exited(0)], { sidecar: exited(137) }), 'Succeeded')
  t.equal(
    phase('Always', [running], { sidecar: waits('CrashLoopBackOff'), initialized: true, last: exited(1) }),
    'Running'
  )
})

const status = (pod: Pod, remote: Partial<PodStatus> | undefined, more: Partial<PodStatusInput> = {}) =>
  computePodStatus({
    pod,
    remote: remote && {
      name: 'p',
      namespace: 'ns',
      UID: 'u-1',
      containers: [],
      initContainers: [],
      ...remote
    },
    stopped: false,
    restarts: true,
    hostIP: '10.0.0.1',
    podIP: '10.0.0.2',
    startTime: '2026-01-01T00:00:00Z',
    now,
    ...more
  })
const condition = (one: ReturnType<typeof status>, type: string) =>
  one.conditions?.find((c) => c.type === type)

t.test('before the backend has spoken a pod is pending and says what it waits for', async (t) => {
  const one = status(makePod(), undefined)
  t.match(one, { phase: 'Pending', qosClass: 'BestEffort', observedGeneration: 3, hostIP: '10.0.0.1' })
  t.notOk(one.podIP)
  t.match(one.containerStatuses, [{ state: { waiting: { reason: 'ContainerCreating' } }, ready: false }])
  t.match(condition(one, 'Ready'), {
    status: 'False',
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [main]',
    observedGeneration: 3
  })
  t.match(condition(one, 'Initialized'), { status: 'True' })
  t.match(condition(one, 'PodReadyToStartContainers'), { status: 'False' })
  const init = status(makePod({ initContainers: [container('prepare')] }), undefined)
  t.match(init.containerStatuses, [{ state: { waiting: { reason: 'PodInitializing' } } }])
  t.match(condition(init, 'Initialized'), {
    reason: 'ContainersNotInitialized',
    message: 'containers with incomplete status: [prepare]'
  })
})

t.test('poor answers are helped: times, readiness and missing lists', async (t) => {
  const pod = makePod()
  const first = status(pod, { containers: [{ name: 'main', state: { running: {} } }] })
  t.match(first, { phase: 'Running', podIP: '10.0.0.2', podIPs: [{ ip: '10.0.0.2' }] })
  t.match(first.containerStatuses, [{ ready: true, started: true, state: { running: { startedAt: now } } }])
  const later = { now: '2026-01-01T01:00:00Z' }
  const second = status(
    { ...pod, status: first },
    { containers: [{ name: 'main', state: { running: {} } }] },
    later
  )
  t.ok(same(first, second), 'what was made up once stays')
  const silent = status({ ...pod, status: first }, { containers: [] }, later)
  t.ok(same(first, silent), 'an answer without containers changes nothing')
  const done = status(
    { ...pod, status: first },
    { containers: [{ name: 'main', state: { terminated: { exitCode: 2 } } }] },
    later
  )
  t.match(done, { phase: 'Failed' })
  t.match(done.containerStatuses?.[0]?.state?.terminated, {
    exitCode: 2,
    reason: 'Error',
    startedAt: now,
    finishedAt: later.now
  })
})

t.test('fractions of seconds are cut, for the API would, and reasons and restarts are kept', async (t) => {
  const one = status(makePod({ restartPolicy: 'Always' }), {
    containers: [
      {
        name: 'main',
        state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } },
        lastState: {
          terminated: { exitCode: 137, signal: 9, reason: 'OOMKilled', finishedAt: '2026-01-01T00:00:07.9Z' }
        },
        restartCount: 2
      }
    ]
  })
  t.equal(one.phase, 'Running')
  t.match(one.containerStatuses, [
    {
      restartCount: 2,
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } },
      lastState: {
        terminated: { exitCode: 137, signal: 9, reason: 'OOMKilled', finishedAt: '2026-01-01T00:00:07Z' }
      }
    }
  ])
})

t.test('readiness is the probe’s where there is one, and gates are asked', async (t) => {
  const probed = makePod({ containers: [container('main', { readinessProbe: {} })] })
  t.equal(
    status(probed, { containers: [{ name: 'main', state: running, ready: false }] }).containerStatuses?.[0]
      ?.ready,
    false
  )
  t.equal(
    status(probed, { containers: [{ name: 'main', state: running, ready: true }] }).containerStatuses?.[0]
      ?.ready,
    true
  )
  const gated = makePod({ readinessGates: [{ conditionType: 'x/y' }] } as Partial<Pod['spec']>)
  const one = status(gated, { containers: [{ name: 'main', state: running }] })
  t.match(condition(one, 'ContainersReady'), { status: 'True' })
  t.match(condition(one, 'Ready'), { status: 'False', reason: 'ReadinessGatesNotReady' })
})

t.test(
  'plugins that restart nothing end a pod whose containers have ended, whatever its policy',
  async (t) => {
    const pod = makePod({ restartPolicy: 'Always' })
    const remote = { containers: [{ name: 'main', state: exited(0) }] }
    t.equal(status(pod, remote, { restarts: false }).phase, 'Succeeded')
    t.equal(status(pod, remote, { restarts: true }).phase, 'Running')
  }
)

t.test(
  'a whole job that the site has ended is a failure with its reason, and a disruption where it is one',
  async (t) => {
    const remote = {
      containers: [{ name: 'main', state: exited(143) }],
      reason: 'PREEMPTED',
      message: 'by job 7'
    }
    const one = status(makePod({ restartPolicy: 'Always' }), remote)
    t.match(one, { phase: 'Failed', reason: 'PREEMPTED', message: 'by job 7' })
    t.match(condition(one, 'DisruptionTarget'), { status: 'True', message: 'by job 7' })
    const late = status(makePod(), { ...remote, reason: 'DeadlineExceeded' })
    t.match(late, { phase: 'Failed', reason: 'DeadlineExceeded' })
    t.notOk(condition(late, 'DisruptionTarget'))
  }
)

t.test(
  'a verdict ends every container, and a stopped deletion those that were never heard of again',
  async (t) => {
    const pod = makePod({}, { status: status(makePod(), { containers: [{ name: 'main', state: running }] }) })
    const lost = status(pod, undefined, {
      verdict: { reason: 'NodeLost', message: 'gone', containerReason: 'ContainerStatusUnknown' }
    })
    t.match(lost, { phase: 'Failed', reason: 'NodeLost', message: 'gone' })
    t.match(lost.containerStatuses?.[0]?.state?.terminated, {
      exitCode: 137,
      reason: 'ContainerStatusUnknown'
    })
    const deleted = status(pod, undefined, { stopped: true })
    t.match(deleted, {
      phase: 'Failed',
      containerStatuses: [{ ready: false, state: { terminated: { exitCode: 137 } } }]
    })
  }
)

t.test('a container that has ended for good stays ended, for the API refuses anything else', async (t) => {
  const done = status(makePod({ containers: [container('main'), container('other')] }), {
    containers: [
      { name: 'main', state: exited(0) },
      { name: 'other', state: running }
    ]
  })
  const pod = makePod({ containers: [container('main'), container('other')] }, { status: done })
  const one = status(pod, {
    containers: [
      { name: 'main', state: running },
      { name: 'other', state: running }
    ]
  })
  t.ok(one.containerStatuses?.[0]?.state?.terminated)
})

t.test('ephemeral containers are told of, and a pod has not ended while one runs', async (t) => {
  const pod = makePod({ restartPolicy: 'Never', ephemeralContainers: [container('debug')] })
  const debug = (state: ContainerState | undefined, main: ContainerState = running) => {
    const told = { containers: [{ name: 'main', state: main }] }
    return status(pod, state ? { ...told, ephemeralContainers: [{ name: 'debug', state }] } : told)
  }
  const refused = new Map([['debug', { reason: 'Refused', message: 'no' }]])
  t.match(status(pod, undefined, { notAdded: refused }).ephemeralContainerStatuses, [
    { name: 'debug', state: { waiting: { reason: 'Refused', message: 'no' } } }
  ])
  t.match(debug(undefined).ephemeralContainerStatuses, [
    { name: 'debug', ready: false, state: { waiting: { reason: 'ContainerCreating' } } }
  ])
  const over = { terminated: { exitCode: 0 } }
  t.equal(debug(running, over).phase, 'Running')
  const ended = debug({ terminated: { exitCode: 7 } }, over)
  t.equal(ended.phase, 'Succeeded', 'what it ended with is not of the pod')
  t.match(ended.ephemeralContainerStatuses, [{ state: { terminated: { exitCode: 7 } } }])
})

t.test('a condition that says the same keeps its time, another takes the new one', async (t) => {
  const first = status(makePod(), undefined, { now: '2026-01-01T00:00:01Z' })
  const second = status(makePod({}, { status: first }), { containers: [{ name: 'main', state: running }] })
  t.equal(condition(second, 'Initialized')?.lastTransitionTime, '2026-01-01T00:00:01Z')
  t.equal(condition(second, 'Ready')?.lastTransitionTime, now)
})

t.test('the patch holds what has changed, and nothing of others', async (t) => {
  const wanted = status(makePod(), { containers: [{ name: 'main', state: running }] })
  t.equal(statusPatch({ ...wanted, hostIPs: [{ ip: '10.0.0.1' }] }, wanted), undefined)
  const known = {
    ...wanted,
    reason: 'Old',
    podIPs: [{ ip: '10.9.9.9' }],
    conditions: [
      { type: 'mine', status: 'True' },
      ...(wanted.conditions ?? []).map((one) =>
        one.type === 'Ready'
          ? { ...one, status: 'False', reason: 'NodeNotReady' }
          : { ...one, lastProbeTime: undefined }
      )
    ]
  }
  const patch = statusPatch(known, wanted)
  t.strictSame(Object.keys(patch ?? {}).sort(), ['conditions', 'podIPs', 'reason'])
  t.equal(patch?.reason, null)
  t.strictSame(patch?.podIPs, [{ $patch: 'replace' }, { ip: '10.0.0.2' }])
  t.match(patch?.conditions, [{ type: 'Ready', status: 'True', reason: null }])
  t.equal((patch?.conditions as unknown[]).length, 1)
})

t.test(
  'pull secrets travel with the pod; one that is not there is told, and no reason to wait',
  async (t) => {
    const pod = makePod({ imagePullSecrets: [{ name: 'there' }, { name: 'gone' }] })
    const there = { metadata: { name: 'there' }, data: { '.dockerconfigjson': 'e30=' } }
    const { request, missing, remarks } = createRequest(
      resolution(pod, { secrets: new Map([['there', there]]) })
    )
    t.same(request?.secrets, [there])
    t.same(missing, [])
    t.match(remarks, [
      {
        type: 'Warning',
        reason: 'FailedToRetrieveImagePullSecret',
        message: /image pull secrets \(gone\); attempting to pull the image may not succeed/
      }
    ])
  }
)
