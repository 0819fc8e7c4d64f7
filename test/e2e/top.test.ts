import t from 'tap'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { provideMetrics } from '../support/metrics-server.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack } from '../support/stack.ts'
import { shellPod } from './workloads.ts'

t.test('kubectl top shows what the processes of a pod use, and the node', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  // An ExternalName may be this machine; endpoints may not.
  const flags = { 'kube-apiserver': ['--enable-aggregator-routing=false'] }
  const cluster = await startControlPlane({ flags })
  t.teardown(() => cluster.stop())
  const must = async (args: readonly string[], input?: string) => {
    const result = await cluster.kubectl(args, input === undefined ? {} : { input })
    if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`)
    return result.stdout
  }
  const apply = (object: object) => must(['apply', '-f', '-'], JSON.stringify(object))
  const stack = await startStack({ kubeconfigPath: cluster.kubeconfigPath })
  t.teardown(() => stack.stop())
  await provideMetrics(t, cluster.kubectl, stack.nodeName)
  const pod = shellPod({
    name: 'worker',
    script: 'exit 0',
    spec: { terminationGracePeriodSeconds: 1 }
  }) as { spec: { containers: object[] } }
  const container = (name: string, script: string) => ({
    ...{ name, image: 'host', command: ['/bin/sh', '-c', script] }
  })
  pod.spec.containers = [
    container('busy', 'while :; do (i=0; while [ "$i" -lt 1000 ]; do i=$((i + 1)); done); done'),
    container('large', `exec perl -e '$x = "x" x 100_000_000; sleep 1000'`),
    container('idle', 'sleep 1000')
  ]
  await apply(pod)

  const rows = async (...args: string[]) =>
    (await must(['top', ...args, '--no-headers']))
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
  const containers = await eventually(
    async () => {
      const found = new Map(
        (await rows('pod', 'worker', '--containers')).map(([, name, cpu, memory]) => [
          name,
          { millicores: parseInt(cpu!), mebibytes: parseInt(memory!) }
        ])
      )
      const isThere = found.has('idle')
      return isThere && found.get('busy')!.millicores >= 50 && found.get('large')!.mebibytes >= 90 && found
    },
    { deadlineMs: 180_000, everyMs: 1000 }
  )
  t.same([...containers.keys()].sort(), ['busy', 'idle', 'large'])
  t.ok(containers.get('idle')!.millicores < 20, 'who sleeps uses nothing')
  t.ok(containers.get('idle')!.mebibytes < 30)
  t.ok(containers.get('large')!.mebibytes < 250)
  // Of all containers together.
  await eventually(async () => {
    const [[name, cpu, , memory] = []] = await rows('node', stack.nodeName)
    return name === stack.nodeName && parseInt(cpu!) >= 50 && parseInt(memory!) >= 90
  })
  const [whole] = await rows('pod', 'worker')
  t.ok(parseInt(whole![2]!) >= 90)

  await must(['delete', 'pod', 'worker', '--timeout=180s'])
  await eventually(async () => (await cluster.kubectl(['top', 'pod', 'worker'])).code !== 0)
})
