import t from 'tap'
import { rm } from 'node:fs/promises'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { runInterlink, startInterlink } from '../support/interlink.ts'
import { requireReal } from '../support/require-real.ts'

const tolerations = [{ operator: 'Exists' }]
const shell = (script: string, more = {}) => ({
  tolerations,
  terminationGracePeriodSeconds: 5,
  containers: [{ name: 'main', image: 'host', command: ['sh', '-c', script] }],
  ...more
})
const pod = (name: string, spec: object) =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec })

t.test('up --kubeconfig, on the real control plane', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  const { kubeconfigPath: kubeconfig, kubectl } = cluster
  const up = (...args: string[]) => ['up', '--kubeconfig', kubeconfig, ...args]
  const names = async (kind: string) =>
    (await kubectl(['get', kind, '-A', '-o', 'jsonpath={.items[*].metadata.name}'])).stdout
  const running = async (name: string) => {
    const phase = ['get', 'pod', name, '-o', 'jsonpath={.status.phase}']
    await eventually(async () => (await kubectl(phase)).stdout === 'Running')
  }
  const restarts = async (name: string) => {
    const path = 'jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}'
    return (await kubectl(['get', 'pod', name, '-o', path])).stdout
  }
  const pods = t.testdir({
    'long.yaml': pod('long', shell('sleep 1000')),
    'deaf.yaml': pod(
      'deaf',
      // As long as its grace: both Ctrl-C come meanwhile, and nobody else ends it.
      shell('trap "" TERM; echo deaf; i=0; while [ $i -lt 30 ]; do sleep 1; i=$((i + 1)); done', {
        terminationGracePeriodSeconds: 30
      })
    ),
    'bad.yaml': pod('bad', shell('exit 3', { restartPolicy: 'Never' }))
  })

  await t.test('runs the example to its end, prints its log, and takes pod and node away', async (t) => {
    const { code, stdout, stderr } = await runInterlink(up('--exit', '--node', 'my-edge'))
    t.equal(code, 0)
    t.equal(stderr, '')
    t.match(stdout, new RegExp(`cluster +${cluster.url} +v1\\.35`))
    t.match(stdout, /my-edge +Ready after/)
    t.match(stdout, /pod\/hello +Pending → Running/)
    t.match(stdout, /│ Hello from hello/)
    t.match(stdout, /pod\/hello +Running → Succeeded/)
    t.match(stdout, `kubectl --kubeconfig ${kubeconfig} get pods`)
    t.equal(await names('pods'), '')
    t.equal(await names('nodes'), '')
  })

  await t.test('a pod that fails makes --exit leave with status 1', async (t) => {
    const { code, stdout } = await runInterlink(up('--exit', '--pod', `${pods}/bad.yaml`))
    t.equal(code, 1)
    t.match(stdout, /→ Failed/)
    t.equal(await names('nodes'), '')
  })

  await t.test('serves its page until Ctrl-C, and DaemonSets do not hold the node', async (t) => {
    const set = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'everywhere' },
      spec: {
        selector: { matchLabels: { app: 'everywhere' } },
        template: { metadata: { labels: { app: 'everywhere' } }, spec: shell('sleep 1000') }
      }
    }
    await kubectl(['create', '-f', '-'], { input: JSON.stringify(set) })
    const session = startInterlink(up('--pod', `${pods}/long.yaml`))
    const [page] = await session.printed(/http:\/\/127\.0\.0\.1:\d+\//)
    t.match(await (await fetch(page)).text(), /<html/)
    await running('long')
    await eventually(async () => (await names('pods')).includes('everywhere'))
    session.kill('SIGINT')
    t.same(await session.ended, { code: 0, signal: null })
    t.equal(session.stderr, '')
    t.equal(await names('nodes'), '')
    t.notMatch(await names('pods'), /long/)
    await kubectl(['delete', 'daemonset', 'everywhere'])
  })

  await t.test('is interrupted before the pod has ended: --exit says so by status 130', async (t) => {
    const session = startInterlink(up('--exit', '--pod', `${pods}/long.yaml`))
    await running('long')
    session.kill('SIGINT')
    t.same(await session.ended, { code: 130, signal: null })
    t.equal(await names('nodes'), '')
  })

  await t.test('a second Ctrl-C does not wait for a pod that does not listen', async (t) => {
    const session = startInterlink(up('--pod', `${pods}/deaf.yaml`))
    await session.printed(/│ deaf/)
    session.kill('SIGINT')
    await session.printed(/Ctrl-C again ends at once/)
    session.kill('SIGINT')
    t.same(await session.ended, { code: 130, signal: null })
    t.equal(await names('nodes'), 'interlink', 'nothing was tidied up')
    const [, left] = /left as they are: .* (\/\S+)/.exec(session.stdout)!
    t.teardown(() => rm(left!, { recursive: true, maxRetries: 10 }))
    await kubectl(['delete', 'pod', 'deaf', '--force', '--grace-period=0'])
    await kubectl(['delete', 'node', 'interlink'])
  })

  await t.test(
    'pods of others keep node and jobs, and are taken back by the line that is printed',
    async (t) => {
      const first = startInterlink(up('--no-pod'))
      await first.printed(/go on with/)
      await kubectl(['create', '-f', '-'], { input: pod('other', shell('sleep 1000')) })
      await running('other')
      first.kill('SIGINT')
      t.equal((await first.ended).code, 0)
      const [, line, dir] = /interlink (up .*--dir (\S+))/.exec(first.stdout)!
      t.teardown(() => rm(dir!, { recursive: true, force: true, maxRetries: 10 }))
      t.equal(await restarts('other'), 'Running 0')
      const second = startInterlink(line!.split(' '))
      await second.printed(/Ready after/)
      t.equal(await restarts('other'), 'Running 0', 'it has not noticed')
      t.equal((await kubectl(['delete', 'pod', 'other', '--timeout=120s'])).code, 0)
      second.kill('SIGINT')
      t.equal((await second.ended).code, 0)
      t.equal(await names('nodes'), '')
    }
  )

  await t.test('touches no pod and no node that it has not made', async (t) => {
    await kubectl(['create', '-f', '-'], { input: pod('hello', shell('sleep 1', { nodeName: 'nowhere' })) })
    const taken = await runInterlink(up('--exit'))
    t.equal(taken.code, 1)
    t.match(taken.stderr, /pod default\/hello exists already; delete it first/)
    t.match(await names('pods'), /hello/)
    const machine = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'machine' } }
    await kubectl(['create', '-f', '-'], { input: JSON.stringify(machine) })
    const node = await runInterlink(up('--exit', '--node', 'machine'))
    t.equal(node.code, 1)
    t.match(node.stderr, /has a node machine already that is not a virtual one; give another name by --node/)
    t.match(await names('nodes'), /machine/)
  })

  await t.test('a user without the rights is told which, before anything starts', async (t) => {
    const guest = await cluster.kubeconfigFor('guest', { user: 'guest' })
    const { code, stderr } = await runInterlink(['up', '--exit', '--kubeconfig', guest])
    t.equal(code, 1)
    t.match(stderr, /^interlink: the kubeconfig's user may not: create nodes, .*; use an administrator's/)
    t.notMatch(stderr, /\n./, 'one line')
  })
})
