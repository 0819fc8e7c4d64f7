import t from 'tap'
import { Value } from 'typebox/value'
import type { Plan, PlannedContainer } from '../src/kit/plan/plan.ts'
import { ownName } from '../src/incus/instance.ts'
import { IncusOptions } from '../src/incus/options.ts'
import { IncusConnection } from '../src/incus/rest/index.ts'
import { seenInstances } from '../src/incus/seen-instances.ts'
import { nextStep, type PartFacts } from '../src/incus/split-order.ts'
import { partPlan } from '../src/incus/split-plan.ts'

const container = (name: string, kind: PlannedContainer['kind'], more = {}): PlannedContainer =>
  ({ name, kind, mounts: [], limits: {}, ...more }) as unknown as PlannedContainer
const planOf = (...containers: PlannedContainer[]) =>
  ({ containers, volumes: [], restartPolicy: 'Always', pod: { annotations: {} } }) as unknown as Plan

const plan = planOf(
  container('init', 'init'),
  container('side', 'sidecar'),
  container('last', 'sidecar'),
  container('a', 'main'),
  container('b', 'main')
)
const runs: PartFacts = { begun: true, record: { state: 'running', restarts: 0, ready: true, up: true } }
const starts: PartFacts = { begun: true, record: { ...runs.record!, up: false } }
const ended = (exitCode: number, at = 7, reason?: string): PartFacts => ({
  begun: true,
  record: { state: 'terminated', restarts: 0, ready: false, up: false, exitCode },
  finished: { at, ...(reason ? { reason, message: 'why' } : {}) }
})
const step = (parts: Record<string, PartFacts>, wished = false) => {
  const { start, stop, end } = nextStep(plan, new Map(Object.entries(parts)), wished, 99)
  return end ? { end } : { start, stop }
}
const done = ended(0)

void t.test(
  'parts start in their order: init to its end, sidecars until they are up, then the others',
  (t) => {
    t.same(step({}), { start: ['init'], stop: [] })
    t.same(step({ init: runs }), { start: [], stop: [] })
    t.same(step({ init: done }), { start: ['side'], stop: [] })
    t.same(step({ init: done, side: starts }), { start: [], stop: [] })
    t.same(step({ init: done, side: runs }), { start: ['last'], stop: [] })
    t.same(step({ init: done, side: runs, last: runs }), { start: ['a', 'b'], stop: [] })
    t.same(step({ init: done, side: starts, last: runs }), { start: ['a', 'b'], stop: [] }, 'it was up once')
    t.same(step({ init: done, side: runs, last: runs, a: runs }), { start: ['b'], stop: [] })
    t.end()
  }
)

void t.test('the pod ends with its main containers, its sidecars after them, from the last', (t) => {
  const both = { init: done, side: runs, last: runs }
  t.same(step({ ...both, a: done, b: runs }), { start: [], stop: [] })
  t.same(step({ ...both, a: done, b: ended(3) }), { start: [], stop: ['last'] })
  t.same(step({ ...both, last: done, a: done, b: done }), { start: [], stop: ['side'] })
  t.same(step({ init: done, side: ended(143, 20), last: done, a: done, b: done }), { end: { at: 20 } })
  t.end()
})

void t.test('a failed init container, a wish, and an end of one part with a reason end the pod', (t) => {
  t.same(step({ init: ended(1) }), { end: { at: 7 } })
  t.same(step({}, true), { end: { at: 99 } }, 'nothing has begun')
  t.same(step({ init: done, side: runs }, true), { start: [], stop: ['side'] })
  const cut = { init: done, side: runs, last: runs, a: ended(137, 8, 'Evicted'), b: runs }
  t.same(step(cut), { start: [], stop: ['b'] })
  t.same(step({ ...cut, side: done, last: done, b: done }), {
    end: { at: 8, reason: 'Evicted', message: 'why' }
  })
  t.end()
})

void t.test('a part has its container, volumes and limits, and what is left of the deadline', (t) => {
  const files = (name: string) => ({ name, kind: 'files', files: [], secret: false }) as const
  const main = container('a', 'main', {
    mounts: [{ volume: 'own', mountPath: '/own', readOnly: false }],
    limits: { memoryBytes: 5 }
  })
  const whole = { ...planOf(main, container('b', 'main')), volumes: [files('own'), files('other')] }
  const part = partPlan({ ...whole, deadlineSeconds: 60 }, main, 12.5)
  t.same(
    part.volumes.map(({ name }) => name),
    ['own']
  )
  t.equal(part.deadlineSeconds, 48)
  t.equal(partPlan({ ...whole, deadlineSeconds: 60 }, main, 90).deadlineSeconds, 1)
  t.match(part.resources, { cpuMillis: 0, memoryBytes: 5 })
  const policy = (kind: PlannedContainer['kind'], restartPolicy: Plan['restartPolicy']) =>
    partPlan({ ...whole, restartPolicy }, container('a', kind)).restartPolicy
  t.same([policy('init', 'Always'), policy('init', 'Never')], ['OnFailure', 'Never'])
  t.same([policy('sidecar', 'Never'), policy('main', 'Never')], ['Always', 'Never'])
  t.end()
})

void t.test('names of instances tell their container, and are none longer than Incus takes', (t) => {
  const long = (end: string) => ownName('uid', `${'x'.repeat(62)}${end}`)
  t.match(ownName('uid', 'main'), /^p-[0-9a-f]{24}-main$/)
  t.ok(long('a').length <= 63)
  t.not(long('a'), long('b'))
  t.end()
})

void t.test(
  'each volume and instance is shown, and what is said of a directory that they share is said once',
  async (t) => {
    const mounts = [{ volume: 'shared', mountPath: '/shared', readOnly: false }]
    const pod = { uid: 'uid', namespace: 'default', name: 'two' }
    const two = {
      ...planOf(...['a', 'b'].map((name) => container(name, 'main', { mounts, image: 'busybox' }))),
      pod: { ...pod, annotations: { 'interlink.io/incus-layout': 'containers' } },
      volumes: [{ name: 'shared', kind: 'emptyDir', memory: false, sizeBytes: 10 }],
      resources: {}
    } as unknown as Plan
    const options = Value.Parse(IncusOptions, Value.Default(IncusOptions, {})) as IncusOptions
    const answers: Record<string, unknown> = {
      '/1.0/profiles/default': { devices: { root: { type: 'disk', path: '/', pool: 'fast' } } },
      '/1.0/storage-pools/fast': { driver: 'dir' }
    }
    const known = { get: (path: string) => Promise.resolve(answers[path]) } as unknown as IncusConnection
    const seen = await seenInstances(known, two, options)
    t.same(
      seen.notices.map(({ reason }) => reason),
      ['NetworkNotShared', 'SizeLimitNotHeld']
    )
    const names = ['shared', 'a', 'b'].map((name) => ownName('uid', name))
    t.same(
      seen.shown.map(({ text }) => (JSON.parse(text) as { name: string }).name),
      names
    )
    t.equal(seen.shown[0]?.title, 'POST /1.0/storage-pools/fast/volumes/custom')
    t.notMatch(seen.shown[0], /size/, 'which this pool does not hold')

    const away = new IncusConnection({ url: 'unix:///none' }, { project: 'default', timeoutMs: 1000 })
    t.teardown(() => away.close())
    const unseen = await seenInstances(away, two, options)
    t.same(
      unseen.notices.map(({ reason }) => reason),
      ['NetworkNotShared'],
      'nothing is said of a pool that nobody has seen'
    )
    t.match(unseen.shown[0]?.text, /"size": "10B"/)
    t.match(unseen.shown[1]?.text, /"pool": "POOL"/)
  }
)
