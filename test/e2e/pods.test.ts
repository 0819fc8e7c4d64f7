import t from 'tap'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { eachCluster } from '../support/clusters.ts'
import { eventually } from '../support/eventually.ts'
import { podOnce } from '../support/pod-once.ts'
import { startStack } from '../support/stack.ts'
import { shellPod } from './workloads.ts'

const example = (name: string) => readFile(new URL(`../../examples/${name}`, import.meta.url), 'utf8')

eachCluster(t, async (t, cluster) => {
  const stack = await startStack({
    kubeconfigPath: cluster.kubeconfigPath,
    plugin: { options: { images: { apptainer: '', podman: '' } } },
    node: {
      labels: { zone: 'edge' },
      resources: {
        cpu: '64',
        memory: '256Gi',
        pods: '500',
        accelerators: [{ resourceType: 'xilinx.com/fpga', model: 'u55c', available: '2' }]
      }
    }
  })
  t.after(() => stack.stop())
  const { kubectl } = cluster

  const run = async (...args: string[]) => {
    const result = await kubectl(args)
    if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`)
    return result.stdout
  }
  const apply = async (...objects: unknown[]) => {
    const input = objects
      .map((object) => (typeof object === 'string' ? object : JSON.stringify(object)))
      .join('\n---\n')
    const result = await kubectl(['apply', '-f', '-'], { input })
    if (result.code !== 0) throw new Error(result.stderr)
  }
  const get = async (name: string) => JSON.parse(await run('get', 'pod', name, '-o', 'json')) as Pod
  const phase = (name: string, wanted: string) =>
    podOnce(cluster.env, name, ({ status }) => status?.phase === wanted)
  const eventsOf = async (name: string) =>
    run('get', 'events', '--field-selector', `involvedObject.name=${name}`, '-o', 'json')

  await eventually(async () => /\bReady\b/.test(await run('get', 'node', stack.nodeName, '--no-headers')))

  await t.test('a pod goes Pending, Running, Succeeded, and kubectl logs prints what it said', async (t) => {
    const go = join(stack.dir, 'hello')
    const waits = (turn: number) => `until [ -e ${go}.${turn} ]; do sleep 0.1; done`
    const script = `echo one; ${waits(1)}; sleep 1; echo two >&2; ${waits(2)}; echo three`
    const createdAt = Date.now()
    await apply(shellPod({ name: 'hello', script }))
    await phase('hello', 'Running')
    // What is said on two streams at the same moment has no order.
    for (const [turn, said] of [
      [1, 'one\n'],
      [2, 'one\ntwo\n']
    ] as const) {
      await eventually(async () => (await run('logs', 'hello')) === said)
      await writeFile(`${go}.${turn}`, '')
    }
    const ended = await phase('hello', 'Succeeded')
    t.equal(await run('logs', 'hello'), 'one\ntwo\nthree\n')
    const state = ended.status!.containerStatuses![0]!.state!.terminated!
    t.equal(state.exitCode, 0)
    t.equal(state.reason, 'Completed')
    const [started, finished] = [state.startedAt, state.finishedAt].map((time) => Date.parse(time!))
    t.ok(
      started! >= createdAt - 1000 && finished! >= started! + 1000 && finished! <= Date.now(),
      'the times are the job’s own'
    )
    const types = ended.status!.conditions!.map((condition) => condition.type).sort()
    t.same(types, ['ContainersReady', 'Initialized', 'PodReadyToStartContainers', 'PodScheduled', 'Ready'])
    t.ok(ended.metadata.annotations?.JobID, 'the job id is on the pod')
    t.ok(ended.status!.hostIP && ended.status!.podIP && ended.status!.startTime && ended.status!.qosClass)
  })

  await t.test('a failing container shows its exit code, its reason and its last words', async (t) => {
    await apply(
      shellPod({
        name: 'fails',
        script: 'echo sorry > /dev/termination-log; exit 42',
        container: { terminationMessagePath: '/dev/termination-log' }
      })
    )
    const pod = await phase('fails', 'Failed')
    t.match(pod.status!.containerStatuses![0]!.state!.terminated, {
      exitCode: 42,
      reason: 'Error',
      message: 'sorry\n'
    })
  })

  await t.test('logs: tail, since, timestamps, limit, follow and previous', async (t) => {
    const go = join(stack.dir, 'logs')
    const script = `for i in 1 2 3 4 5; do echo line $i; done; until [ -e ${go} ]; do sleep 0.1; done; echo last`
    await apply(shellPod({ name: 'logs', script }))
    await phase('logs', 'Running')
    await eventually(async () => (await run('logs', 'logs')).endsWith('line 5\n'))
    const followed = run('logs', '-f', 'logs')
    t.equal(await run('logs', 'logs', '--tail=2'), 'line 4\nline 5\n')
    t.equal(await run('logs', 'logs', '--limit-bytes=6'), 'line 1')
    t.match(
      await run('logs', 'logs', '--timestamps', '--tail=1'),
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 5\n$/
    )
    t.equal(await run('logs', 'logs', '--since-time=2100-01-01T00:00:00Z'), '')
    await writeFile(go, '')
    t.match(await followed, /line 5\nlast\n$/)
    const previous = await kubectl(['logs', 'logs', '--previous'])
    t.not(previous.code, 0)
    t.match(previous.stderr, /previous terminated container "main" in pod "logs" not found/)
  })

  await t.test(
    'the rich example runs: init containers, sidecar, files, environment, probes and hooks',
    async (t) => {
      await apply(await example('rich.yaml'))
      const pod = await phase('rich', 'Succeeded')
      t.equal(pod.status!.initContainerStatuses!.length >= 3, true)
      for (const status of pod.status!.initContainerStatuses!) t.ok(status.state!.terminated, status.name)
    }
  )

  await t.test('a pod waits for its ConfigMap, says so, and goes on when it appears', async (t) => {
    await apply(
      shellPod({
        name: 'waits',
        script: 'test "$GREETING" = "hi there" && test "$(cat /cfg/greeting)" = "hi there"',
        container: {
          env: [{ name: 'GREETING', valueFrom: { configMapKeyRef: { name: 'late', key: 'greeting' } } }],
          volumeMounts: [{ name: 'cfg', mountPath: '/cfg' }]
        },
        spec: { volumes: [{ name: 'cfg', configMap: { name: 'late' } }] }
      })
    )
    await eventually(async () => /late/.test(await eventsOf('waits')))
    t.equal((await get('waits')).status!.phase, 'Pending')
    await run('create', 'configmap', 'late', '--from-literal=greeting=hi there')
    await phase('waits', 'Succeeded')
  })

  await t.test(
    'deleting a running pod sends TERM, and the object goes when the job has stopped',
    async (t) => {
      const marker = `${stack.dir}/graceful`
      await apply(
        shellPod({
          name: 'graceful',
          script: `trap 'sleep 1; echo stopped > ${marker}; exit 0' TERM; echo ready; while :; do sleep 0.2; done`
        })
      )
      await phase('graceful', 'Running')
      await eventually(async () => /ready/.test(await run('logs', 'graceful')))
      await run('delete', 'pod', 'graceful', '--timeout=120s')
      t.equal(await readFile(marker, 'utf8'), 'stopped\n', 'the object was there until the job had stopped')
      await eventually(async () => /Killing/.test(await eventsOf('graceful')))
    }
  )

  await t.test('what cannot be honoured is refused by an event that names the field', async (t) => {
    await apply(
      shellPod({ name: 'refused', script: 'true', container: { securityContext: { privileged: true } } })
    )
    const pod = await phase('refused', 'Failed')
    t.match(pod.status!.message, /spec\.containers\[0\]\.securityContext\.privileged/)
    t.match(await run('describe', 'pod', 'refused'), /spec\.containers\[0\]\.securityContext\.privileged/)
  })

  await t.test('an Indexed Job of 20 runs every index and reports the one that fails', async (t) => {
    await apply(await example('indexed-job.yaml'))
    const job = await eventually(
      async () => {
        const { items } = JSON.parse(await run('get', 'jobs', '-o', 'json')) as {
          items: {
            status: {
              succeeded?: number
              failed?: number
              failedIndexes?: string
              conditions?: { type: string }[]
            }
          }[]
        }
        return items.find((item) =>
          item.status.conditions?.some((c) => c.type === 'Failed' || c.type === 'Complete')
        )
      },
      { deadlineMs: 240_000, everyMs: 500 }
    )
    t.equal(job.status.succeeded, 19)
    t.equal(job.status.failed, 1)
    t.ok(job.status.failedIndexes, 'the failed index is named')
  })

  await t.test('a Deployment’s pods become ready, and a rollout replaces them', async () => {
    await apply(await example('deployment.yaml'))
    const name = (await run('get', 'deployments', '-o', 'name')).trim()
    await run('rollout', 'status', name, '--timeout=180s')
    await run('delete', name, '--timeout=180s')
    await eventually(async () => (await run('get', 'pods', '-o', 'name')).includes('deploy') === false)
  })

  await t.test('the pod of a hardened namespace runs', async () => {
    await apply(await example('hardened.yaml'))
    const name = JSON.parse(
      await run('get', '-f', new URL('../../examples/hardened.yaml', import.meta.url).pathname, '-o', 'json')
    ) as Pod
    await phase(name.metadata.name!, 'Succeeded')
  })

  await t.test('the FPGA pod lands on the node that has one, and is told what its image needs', async (t) => {
    await run('create', 'namespace', 'interlink').catch(() => '')
    const pod = (await example('fpga.yaml')).replace('my-fpga-node', stack.nodeName)
    await apply(pod)
    const seen = await eventually(async () => {
      const found = JSON.parse(await run('get', 'pod', 'podfpga0', '-n', 'interlink', '-o', 'json')) as Pod
      return found.spec.nodeName === stack.nodeName && found.status?.phase === 'Failed' && found
    })
    t.match(seen.status!.message, /image/)
  })

  await t.test('a node that is deleted comes back, and its pods run on', async (t) => {
    await apply(shellPod({ name: 'stays', script: 'sleep 300' }))
    await phase('stays', 'Running')
    const before = JSON.parse(await run('get', 'node', stack.nodeName, '-o', 'json')) as Pod
    await run('delete', 'node', stack.nodeName)
    await eventually(async () => {
      const node = JSON.parse(await run('get', 'node', stack.nodeName, '-o', 'json')) as Pod
      return node.metadata.uid !== before.metadata.uid
    })
    t.equal((await get('stays')).status!.phase, 'Running')
    await run('delete', 'pod', 'stays', '--grace-period=1')
  })

  await t.test('a pod of the same name created right after the deletion is a pod of its own', async (t) => {
    await apply(shellPod({ name: 'again', script: 'sleep 300' }))
    const first = await phase('again', 'Running')
    await run('delete', 'pod', 'again', '--grace-period=1')
    await apply(shellPod({ name: 'again', script: 'echo second' }))
    const second = await phase('again', 'Succeeded')
    t.not(second.metadata.uid, first.metadata.uid)
    t.equal(await run('logs', 'again'), 'second\n')
  })

  await t.test('a DaemonSet pod is refused once, without a loop', async (t) => {
    await apply({
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'everywhere', namespace: 'default' },
      spec: {
        selector: { matchLabels: { app: 'everywhere' } },
        template: {
          metadata: { labels: { app: 'everywhere' } },
          spec: {
            tolerations: [{ operator: 'Exists' }],
            containers: [{ name: 'main', image: 'host', command: ['true'] }]
          }
        }
      }
    })
    if (cluster.kind === 'dev') return t.comment('the development cluster has no DaemonSet controller')
    await eventually(async () => /DaemonSet/.test(await run('get', 'events', '-o', 'json')))
    const uids = async () =>
      (
        JSON.parse(await run('get', 'pods', '-l', 'app=everywhere', '-o', 'json')) as { items: Pod[] }
      ).items.map((p) => p.metadata.uid)
    const first = await uids()
    await eventually(async () => /pod\/again/.test(await run('get', 'pods', '-o', 'name')))
    t.same(await uids(), first)
    await run('delete', 'daemonset', 'everywhere')
  })

  await t.test('nothing is left running when every pod is deleted', async () => {
    await run('delete', 'pods', '--all', '--grace-period=1', '--timeout=180s')
    await run('delete', 'jobs', '--all', '--timeout=180s')
  })
})
