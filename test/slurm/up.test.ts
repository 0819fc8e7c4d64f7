import t from 'tap'
import { join } from 'node:path'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { runInterlink, startInterlink } from '../support/interlink.ts'
import { kubectlEnv, kubectlFor, kubectlUnavailable } from '../support/kubectl.ts'
import { requireReal } from '../support/require-real.ts'

const pod = (name: string, script: string) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 20,
      nodeSelector: { 'virtual-node.interlink/type': 'virtual-kubelet' },
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'main', image: 'host', command: ['/bin/sh', '-c', script] }]
    }
  })

if (requireReal(t, slurmMissing())) {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())
  const env = { ...process.env, ...lab.env }

  t.test('up --backend slurm --exit runs a pod as a job to its end', async (t) => {
    const dir = t.testdir({ 'pod.yaml': pod('once', 'echo "job $(id -u)"') })
    const { code, stdout, stderr } = await runInterlink(
      ['up', '--backend', 'slurm', '--exit', '--pod', join(dir, 'pod.yaml')],
      { env }
    )
    t.equal(code, 0, stderr)
    t.match(stdout, /→ Succeeded/)
    t.match(stdout, /│ .*job \d+/)
    t.match(await lab.run('squeue', '-h', '-t', 'all', '-o', '%j %T'), /default-once COMPLETED/)
  })

  t.test('kubectl sees a job run, reads its log and deletes it with its grace', async (t) => {
    if (!requireReal(t, kubectlUnavailable())) return
    const up = startInterlink(['up', '--backend', 'slurm', '--no-pod'], { env })
    t.teardown(() => up.stop())
    const [, kubeconfig] = await up.printed(/kubectl --kubeconfig (\S+)/)
    const kubectl = kubectlFor(kubectlEnv(kubeconfig!, t.testdir()))
    const script = 'trap "echo ended; exit 0" TERM; echo ready; while :; do sleep 0.1; done'
    await kubectl(['apply', '-f', '-'], { input: pod('long', script) })
    await eventually(async () => (await kubectl(['logs', 'long'])).stdout === 'ready\n')
    t.match((await kubectl(['get', 'pod', 'long', '--no-headers'])).stdout, /Running/)
    t.match(await lab.run('squeue', '-h', '-o', '%j %T'), /default-long RUNNING/)
    await kubectl(['delete', 'pod', 'long', '--timeout=30s'])
    await eventually(async () => !(await lab.run('squeue', '-h', '-o', '%j')).includes('default-long'))

    await kubectl(['apply', '-f', '-'], { input: pod('bad', 'exit 3') })
    await eventually(async () =>
      /\b3\b/.test(
        (
          await kubectl([
            'get',
            'pod',
            'bad',
            '-o',
            'jsonpath={.status.phase} {.status.containerStatuses[0].state.terminated.exitCode}'
          ])
        ).stdout
      )
    )
    up.kill('SIGINT')
    t.equal((await up.ended).code, 0)
  })
}
