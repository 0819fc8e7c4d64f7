import t from 'tap'
import { compile } from '../src/kit/plan/compile.ts'
import { explainRefusals } from '../src/kit/plan/findings.ts'
import {
  noticeReasons,
  planOf,
  podData,
  policyOf,
  refusalsOf,
  refusedFields,
  type Given
} from './support-plan.ts'

const main = (given: Given) => planOf(given).containers[0]!
const requests = (cpu: string, memory?: string) => ({
  resources: { requests: { cpu, ...(memory && { memory }) } }
})

t.test('containers keep their order and kind: init, sidecar, main', async (t) => {
  const plan = planOf({
    spec: {
      initContainers: [
        { name: 'a', image: 'host' },
        { name: 'b', image: 'host', restartPolicy: 'Always' },
        { name: 'c', image: 'host' }
      ],
      containers: [
        { name: 'd', image: 'host' },
        { name: 'e', image: 'host' }
      ]
    }
  })
  t.strictSame(
    plan.containers.map(({ name, kind }) => [name, kind]),
    [
      ['a', 'init'],
      ['b', 'sidecar'],
      ['c', 'init'],
      ['d', 'main'],
      ['e', 'main']
    ]
  )
})

t.test('the effective request counts an init container with the sidecars before it (KEP-753)', async (t) => {
  const cpu = (init: [string, boolean][], containers: string[], spec: object = {}) =>
    planOf({
      spec: {
        initContainers: init.map(([amount, sidecar], index) => ({
          name: `i${index}`,
          image: 'host',
          ...(sidecar && { restartPolicy: 'Always' }),
          ...requests(amount)
        })),
        containers: containers.map((amount, index) => ({
          name: `m${index}`,
          image: 'host',
          ...requests(amount)
        })),
        ...spec
      }
    }).resources.cpuMillis
  t.equal(cpu([], ['1', '500m']), 1500)
  t.equal(cpu([['4', false]], ['1', '1']), 4000)
  t.equal(
    cpu(
      [
        ['4', false],
        ['1', true]
      ],
      ['1', '1']
    ),
    4000,
    'a sidecar after the init container does not add to it'
  )
  t.equal(
    cpu(
      [
        ['1', true],
        ['4', false]
      ],
      ['1', '1']
    ),
    5000,
    'one before it does'
  )
  t.equal(
    cpu(
      [
        ['1', true],
        ['1', true]
      ],
      ['1', '1']
    ),
    4000
  )
  t.equal(cpu([], ['1'], { overhead: { cpu: '250m' } }), 1250)
  t.equal(
    cpu([['4', false]], ['1'], { resources: { requests: { cpu: '3' } } }),
    3000,
    'the pod’s own request wins'
  )
})

t.test('requests fall back to limits, devices are whole numbers, memory is bytes', async (t) => {
  const plan = planOf({
    container: {
      resources: { limits: { cpu: 2, memory: '1Gi', 'nvidia.com/gpu': '2' }, requests: { memory: '512Mi' } }
    }
  })
  t.strictSame(plan.resources, {
    cpuMillis: 2000,
    memoryBytes: 536870912,
    ephemeralBytes: 0,
    extended: { 'nvidia.com/gpu': 2 }
  })
  t.strictSame(plan.containers[0]!.limits, {
    cpuMillis: 2000,
    memoryBytes: 1073741824,
    extended: { 'nvidia.com/gpu': 2 }
  })
  const at = 'spec.containers[0].resources'
  const bad = (resources: object) => refusedFields({ container: { resources } })
  t.strictSame(bad({ limits: { 'nvidia.com/gpu': '500m' } }), [`${at}.limits.nvidia.com/gpu`])
  t.strictSame(bad({ limits: { memory: '1 GB' } }), [`${at}.limits.memory`])
  t.strictSame(bad({ limits: { memory: '-1' } }), [`${at}.limits.memory`])
  t.strictSame(bad({ limits: { memory: '1E' } }), [`${at}.limits.memory`])
  t.strictSame(bad({ requests: { cpu: '2' }, limits: { cpu: '1' } }), [`${at}.requests.cpu`])
  t.strictSame(bad({ limits: { 'hugepages-2Mi': '2Mi' } }), [`${at}.limits.hugepages-2Mi`])
})

t.test('a pod that asks for nothing gets what the site says', async (t) => {
  const policy = {
    requests: { cpu: '1', memory: '1Gi' },
    deadlineSeconds: 60,
    maxDeadlineSeconds: 100,
    graceSeconds: 5
  }
  t.match(planOf({ policy }), {
    resources: { cpuMillis: 1000, memoryBytes: 1073741824 },
    deadlineSeconds: 60,
    graceSeconds: 5
  })
  t.match(planOf({ policy, container: requests('2'), spec: { activeDeadlineSeconds: 30 } }), {
    resources: { cpuMillis: 2000 },
    deadlineSeconds: 30
  })
  t.match(planOf({ policy, spec: { activeDeadlineSeconds: 300 } }), {
    deadlineSeconds: 100,
    notices: [{ reason: 'DeadlineSet' }]
  })
})

t.test('probes have the defaults of the API, named ports and headers', async (t) => {
  const container = {
    ports: [{ name: 'web', containerPort: 8080 }],
    startupProbe: { tcpSocket: { port: 'web' }, periodSeconds: 2, failureThreshold: 30 },
    livenessProbe: { grpc: { port: 9000, service: 'health' }, terminationGracePeriodSeconds: 3 },
    readinessProbe: {
      httpGet: {
        port: 'web',
        path: '/ready?x=1',
        scheme: 'HTTPS',
        httpHeaders: [{ name: 'X-A', value: 'b' }]
      },
      successThreshold: 2
    }
  }
  const timing = {
    initialDelaySeconds: 0,
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3
  }
  t.strictSame(main({ container }).probes, {
    startup: {
      action: { type: 'tcp', host: '127.0.0.1', port: 8080 },
      ...timing,
      periodSeconds: 2,
      failureThreshold: 30
    },
    liveness: {
      action: { type: 'grpc', port: 9000, service: 'health' },
      ...timing,
      terminationGraceSeconds: 3
    },
    readiness: {
      action: {
        type: 'http',
        scheme: 'https',
        host: '127.0.0.1',
        port: 8080,
        path: '/ready?x=1',
        headers: [{ name: 'X-A', value: 'b' }]
      },
      ...timing,
      successThreshold: 2
    }
  })
})

t.test('probes that cannot work are refused by field', async (t) => {
  const at = 'spec.containers[0].readinessProbe'
  const cases: [object, string][] = [
    [{}, at],
    [{ exec: { command: ['a'] }, tcpSocket: { port: 1 } }, at],
    [{ exec: {} }, `${at}.exec.command`],
    [{ exec: { command: ['a\0'] } }, `${at}.exec.command`],
    [{ tcpSocket: { port: 'web' } }, `${at}.tcpSocket.port`],
    [{ tcpSocket: { port: 70000 } }, `${at}.tcpSocket.port`],
    [{ httpGet: { port: 1, scheme: 'FTP' } }, `${at}.httpGet.scheme`],
    [{ httpGet: { port: 1, path: '/a b' } }, `${at}.httpGet.path`],
    [{ httpGet: { port: 1, host: 'a b' } }, `${at}.httpGet.host`],
    [
      { httpGet: { port: 1, httpHeaders: [{ name: 'A', value: 'b\r\nC: d' }] } },
      `${at}.httpGet.httpHeaders[0]`
    ],
    [{ tcpSocket: { port: 1 }, periodSeconds: -1 }, `${at}.periodSeconds`]
  ]
  for (const [readinessProbe, field] of cases) {
    t.strictSame(refusedFields({ container: { readinessProbe } }), [field], JSON.stringify(readinessProbe))
  }
  const init = { name: 'i', image: 'host', readinessProbe: { tcpSocket: { port: 1 } } }
  t.strictSame(refusedFields({ spec: { initContainers: [init] } }), ['spec.initContainers[0].readinessProbe'])
})

t.test('hooks and the stop signal', async (t) => {
  const lifecycle = {
    postStart: { exec: { command: ['touch', 'x'] } },
    preStop: { sleep: { seconds: 3 } },
    stopSignal: 'SIGRTMIN+3'
  }
  t.match(main({ container: { lifecycle } }), {
    postStart: { type: 'exec', command: ['touch', 'x'] },
    preStop: { type: 'sleep', seconds: 3 },
    stopSignal: '37'
  })
  t.equal(main({}).stopSignal, 'TERM')
  t.equal(main({ container: { lifecycle: { stopSignal: 'SIGUSR1' } } }).stopSignal, 'USR1')
  const at = 'spec.containers[0].lifecycle'
  t.strictSame(refusedFields({ container: { lifecycle: { stopSignal: '$(id)' } } }), [`${at}.stopSignal`])
  t.strictSame(refusedFields({ container: { lifecycle: { preStop: { tcpSocket: { port: 1 } } } } }), [
    `${at}.preStop.tcpSocket`
  ])
})

t.test('the pod’s name, its host name and its hosts', async (t) => {
  const spec = {
    hostname: 'h',
    subdomain: 's',
    hostAliases: [{ ip: '10.0.0.1', hostnames: ['db', 'db.local'] }]
  }
  const plan = planOf({ spec })
  t.equal(plan.pod.hostname, 'h')
  t.strictSame(plan.hosts, [
    { ip: '127.0.0.1', hostnames: ['h.s.default.svc.cluster.local', 'h'] },
    { ip: '10.0.0.1', hostnames: ['db', 'db.local'] }
  ])
  t.equal(
    planOf({ spec: { subdomain: 's', setHostnameAsFQDN: true } }).pod.hostname,
    'pod.s.default.svc.cluster.local'
  )
  const data = podData()
  data.pod.metadata.name = `${'a'.repeat(62)}-${'b'.repeat(30)}`
  const long = compile(data, policyOf())
  t.equal('plan' in long && long.plan.pod.hostname, 'a'.repeat(62), 'cut to 63, without the dash at the end')
  t.strictSame(refusedFields({ spec: { hostAliases: [{ ip: '1.2.3.4\n', hostnames: [] }] } }), [
    'spec.hostAliases[0]'
  ])
})

t.test('the pod of a hardened namespace is run, and each difference is told once', async (t) => {
  const securityContext = {
    runAsUser: 1000,
    runAsGroup: 1000,
    runAsNonRoot: true,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' }
  }
  const given: Given = {
    spec: {
      hostNetwork: true,
      securityContext: { runAsUser: 1000, fsGroup: 1000 },
      containers: ['a', 'b'].map((name) => ({ name, image: 'host', securityContext }))
    }
  }
  const plan = planOf(given)
  t.strictSame(plan.notices.map(({ reason }) => reason).sort(), [
    'CapabilitiesNotDropped',
    'ConfinementNotApplied',
    'GroupsNotGiven',
    'HostNetwork',
    'NoNewPrivilegesNotSet',
    'RootNotReadOnly',
    'RunAsNonRoot',
    'UserNotMapped'
  ])
  t.match(plan.containers, [{ runAs: { user: 1000, group: 1000 }, readOnlyRoot: true }])
  const backend = { ...policyOf().backend }
  for (const key of Object.keys(backend) as (keyof typeof backend)[]) backend[key] = true
  t.strictSame(
    noticeReasons({ ...given, policy: { backend } }),
    ['HostNetwork'],
    'a backend that honours it all says nothing'
  )
})

t.test('what widens rights is refused by the field that asks for it', async (t) => {
  const at = 'spec.containers[0].securityContext'
  const security = (securityContext: object): Given => ({ container: { securityContext } })
  const cases: [Given, string][] = [
    [security({ privileged: true }), `${at}.privileged`],
    [security({ capabilities: { add: ['NET_ADMIN'] } }), `${at}.capabilities.add`],
    [security({ procMount: 'Unmasked' }), `${at}.procMount`],
    [security({ runAsUser: 0, runAsNonRoot: true }), `${at}.runAsUser`],
    [{ spec: { hostPID: true } }, 'spec.hostPID'],
    [{ spec: { hostIPC: true } }, 'spec.hostIPC'],
    [{ spec: { hostNetwork: true }, policy: { hostNetworkShared: false } }, 'spec.hostNetwork'],
    [
      { spec: { shareProcessNamespace: true }, policy: { processesShared: false } },
      'spec.shareProcessNamespace'
    ],
    [
      { spec: { securityContext: { sysctls: [{ name: 'kernel.x', value: '1' }] } } },
      'spec.securityContext.sysctls[0]'
    ],
    [{ spec: { runtimeClassName: 'gvisor' } }, 'spec.runtimeClassName'],
    [
      { container: { volumeDevices: [{ name: 'v', devicePath: '/dev/x' }] } },
      'spec.containers[0].volumeDevices'
    ],
    [{ spec: { resourceClaims: [{ name: 'x' }] } }, 'spec.resourceClaims']
  ]
  for (const [given, field] of cases) t.strictSame(refusedFields(given), [field], field)
  t.equal(
    explainRefusals(refusalsOf(security({ privileged: true }))),
    'spec.containers[0].securityContext.privileged: privileged containers cannot run here; remove it'
  )
  t.strictSame(
    noticeReasons({ spec: { runtimeClassName: 'nvidia' }, policy: { runtimeClasses: ['nvidia'] } }),
    []
  )
})

t.test('names that become file names are checked', async (t) => {
  t.strictSame(refusedFields({ container: { name: '../x' } }), ['spec.containers[0].name'])
  t.strictSame(refusedFields({ spec: { initContainers: [{ name: 'main', image: 'host' }] } }), [
    'spec.containers[0].name'
  ])
  const data = podData()
  data.pod.metadata.uid = '../../etc'
  t.match(compile(data, policyOf()), { refusals: [{ field: 'metadata.uid' }] })
  t.strictSame(refusedFields({ container: { image: '--help' } }), ['spec.containers[0].image'])
})
