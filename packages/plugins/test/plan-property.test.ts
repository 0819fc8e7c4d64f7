import t from 'tap'
import fc from 'fast-check'
import type { Container, Pod, RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { expandedAnnotation } from '@interlink-ts/interlink-api/wire'
import { compile } from '../src/kit/plan/compile.ts'
import { describePlan } from '../src/kit/plan/describe.ts'
import { policyOf } from './support-plan.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom("it's", '$(A)', '$$(A)', '`id`', '$(id)', 'a\nb', '-n', '"', "'x y'", '\\', '')
)
const word = text.filter((value) => !value.includes('\0'))
const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$/)
const quantity = fc.constantFrom('1', '100m', '0.5', '2Gi', '1e3', '12k', 3)
const names = fc.constantFrom('A', 'B', 'a-b', 'a.b', 'PATH', 'ö')
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const action = fc.oneof(
  fc.record({ exec: fc.record({ command: fc.array(word, { minLength: 1 }) }) }),
  fc.record({ tcpSocket: fc.record({ port: fc.integer({ min: 1, max: 65535 }) }) }),
  fc.record({
    httpGet: fc.record({ port: fc.constantFrom<number | string>(80, 'web'), path: fc.constant('/x') })
  })
)
const env = fc.array(fc.record({ name: names, value: word }), { maxLength: 6 })

const container: fc.Arbitrary<Omit<Container, 'name'>> = fc.record(
  {
    image: fc.constantFrom('host', 'busybox:1.36', '/images/x.sif', 'r.io:5000/a/b@sha256:00'),
    command: fc.array(word),
    args: fc.array(word),
    env,
    ports: fc.constant([{ name: 'web', containerPort: 8080 }]),
    volumeMounts: fc.constantFrom(
      [],
      [{ name: 'scratch', mountPath: '/s' }],
      [{ name: 'cm', mountPath: '/cm' }]
    ),
    resources: fc.record({ limits: fc.dictionary(fc.constantFrom('cpu', 'memory'), quantity) }),
    workingDir: fc.constantFrom('/', '/tmp', '/a b')
  },
  { requiredKeys: ['image', 'ports'] }
) as fc.Arbitrary<Omit<Container, 'name'>>

const goodPod = fc
  .record({
    init: fc.array(fc.tuple(container, fc.boolean()), { maxLength: 3 }),
    main: fc.array(fc.tuple(container, maybe(action)), { minLength: 1, maxLength: 3 }),
    names: fc.uniqueArray(label, { minLength: 6, maxLength: 6 }),
    expanded: fc.constantFrom(undefined, '', 'env', 'args', 'env,args'),
    restartPolicy: fc.constantFrom('Always', 'OnFailure', 'Never')
  })
  .map(({ init, main, names, expanded, restartPolicy }): RetrievedPodData => {
    const pod: Pod = {
      metadata: {
        name: names[0],
        namespace: 'default',
        uid: 'u-1',
        annotations: expanded === undefined ? {} : { [expandedAnnotation]: expanded }
      },
      spec: {
        restartPolicy,
        initContainers: init.map(([given, sidecar], index) => ({
          ...given,
          name: names[index]!,
          ...(sidecar && { restartPolicy: 'Always' })
        })),
        containers: main.map(([given, probe], index) => ({
          ...given,
          name: names[index + 3]!,
          readinessProbe: probe
        })),
        volumes: [
          { name: 'scratch', emptyDir: {} },
          { name: 'cm', configMap: { name: 'app' } }
        ]
      }
    }
    const configMaps = [{ metadata: { name: 'app' }, data: { k: 'v' } }]
    const sent = { configMaps, secrets: [], projectedvolumemaps: [] }
    return {
      pod,
      container: [...pod.spec.initContainers!, ...pod.spec.containers].map(({ name }) => ({ name, ...sent }))
    }
  })

t.test(
  'every well-formed pod has a plan with each container once, in order, and its environment whole',
  async (t) => {
    fc.assert(
      fc.property(goodPod, (data) => {
        const result = compile(data, policyOf())
        if (!('plan' in result)) return data.container.length === 0
        const { spec } = data.pod
        const all = [...(spec.initContainers ?? []), ...spec.containers]
        const expanded = data.pod.metadata.annotations![expandedAnnotation]
        const envIsDone = expanded === undefined || expanded.split(',').includes('env')
        return (
          JSON.stringify(result.plan.containers.map(({ name }) => name)) ===
            JSON.stringify(all.map(({ name }) => name)) &&
          all.every((given, index) => {
            const planned = new Map(
              result.plan.containers[index]!.env.map(({ name, value }) => [name, value])
            )
            const last = new Map(given.env?.map(({ name, value }) => [name, value]))
            return [...last].every(([name, value]) =>
              envIsDone
                ? planned.get(name) === value
                : value!.includes('$')
                  ? planned.has(name)
                  : planned.get(name) === value
            )
          })
        )
      }),
      { numRuns: 400 }
    )
    t.pass()
  }
)

t.test('compiling is deterministic, and changes nothing it was given', async (t) => {
  fc.assert(
    fc.property(goodPod, (data) => {
      const before = JSON.stringify(data)
      const first = JSON.stringify(compile(data, policyOf()))
      return (
        first === JSON.stringify(compile(JSON.parse(before) as RetrievedPodData, policyOf())) &&
        JSON.stringify(data) === before
      )
    }),
    { numRuns: 100 }
  )
  t.pass()
})

t.test(
  'no pod makes the compiler throw: the answer is a plan or at least one refusal, never both',
  async (t) => {
    const wild = fc.dictionary(
      fc.constantFrom(
        'hostname',
        'subdomain',
        'restartPolicy',
        'dnsPolicy',
        'runtimeClassName',
        'schedulerName',
        'later'
      ),
      text
    )
    const wildContainer = fc.record(
      {
        name: text,
        image: text,
        command: fc.array(text),
        workingDir: text,
        env: fc.array(fc.record({ name: text, value: text })),
        volumeMounts: fc.array(fc.record({ name: text, mountPath: text, subPath: text, subPathExpr: text })),
        resources: fc.record({
          limits: fc.dictionary(text, fc.oneof(text, fc.integer())),
          requests: fc.dictionary(text, text)
        }),
        terminationMessagePath: text,
        livenessProbe: fc.record({
          httpGet: fc.record({ port: fc.oneof(text, fc.integer()), path: text, host: text })
        }),
        lifecycle: fc.record({ stopSignal: text })
      },
      { requiredKeys: ['name'] }
    )
    const volume = fc.record({
      name: text,
      configMap: maybe(
        fc.record({ name: text, items: fc.array(fc.record({ key: text, path: text, mode: fc.integer() })) })
      ),
      emptyDir: maybe(fc.record({ sizeLimit: text, medium: text })),
      hostPath: maybe(fc.record({ path: text, type: text }))
    })
    fc.assert(
      fc.property(
        wild,
        fc.array(wildContainer),
        fc.array(volume),
        text,
        (spec, containers, volumes, name) => {
          const metadata = { name, namespace: name, uid: name }
          const data = {
            pod: { metadata, spec: { ...spec, containers, volumes } },
            container: []
          } as unknown as RetrievedPodData
          const result = compile(data, policyOf({ hostPaths: [{ path: '/', readOnly: false }] }))
          return 'plan' in result ? !('refusals' in result) : result.refusals.length > 0
        }
      ),
      { numRuns: 400 }
    )
    t.pass()
  }
)

t.test('a plan shown to people holds no value of the environment', async (t) => {
  const secret = fc.stringMatching(/^[a-z0-9]{16,32}$/)
  fc.assert(
    fc.property(goodPod, secret, (data, value) => {
      const given = { name: 'TOKEN', value }
      const first = data.pod.spec.containers[0]!
      const container = { ...first, env: [given], args: ['--token=$(TOKEN)'] }
      const result = compile(
        { ...data, pod: { ...data.pod, spec: { ...data.pod.spec, containers: [container] } } },
        policyOf()
      )
      return 'plan' in result && !describePlan(result.plan).includes(value)
    }),
    { numRuns: 50 }
  )
  t.pass()
})
