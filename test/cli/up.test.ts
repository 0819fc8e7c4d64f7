import t from 'tap'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { runInterlink, startInterlink } from '../support/interlink.ts'
import { kubectlEnv, kubectlFor, kubectlUnavailable } from '../support/kubectl.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'

/** What the supervisors of this directory's jobs leave in the process table. */
const running = async (directory: string): Promise<number> => {
  let count = 0
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(directory)) count++
  return count
}

t.test('up --exit runs the example to its end, prints its log, and leaves with status 0', async (t) => {
  const { code, stdout, stderr } = await runInterlink(['up', '--exit'])
  t.equal(code, 0, stderr)
  t.match(stdout, /Pending → Running/)
  t.match(stdout, /→ Succeeded/)
  t.match(stdout, /│ .*\S/, 'the log was printed')
  t.match(stdout, /http:\/\/127\.0\.0\.1:\d+/, 'the page has an address')
  t.match(stdout, /kubectl --kubeconfig \S+ get pods/)
})

t.test('up goes on until Ctrl-C, then ends the pods and leaves nothing behind', async (t) => {
  if (!requireReal(t, kubectlUnavailable())) return
  const up = startInterlink(['up', '--no-pod'])
  const [, kubeconfig] = await up.printed(/kubectl --kubeconfig (\S+)/)
  const directory = dirname(kubeconfig!)
  const kubectl = kubectlFor(kubectlEnv(kubeconfig!, t.testdir()))
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'long' },
    spec: {
      nodeSelector: { 'virtual-node.interlink/type': 'virtual-kubelet' },
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'main', image: 'host', command: ['sleep', '1000'] }]
    }
  }
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
  await eventually(async () =>
    (await kubectl(['get', 'pod', 'long', '--no-headers'])).stdout.includes('Running')
  )
  t.ok((await running(directory)) > 0)
  up.kill('SIGINT')
  const { code } = await up.ended
  t.equal(code, 0)
  t.notOk(existsSync(directory), 'the working directory is gone')
  await eventually(async () => (await running(directory)) === 0)
})

t.test('a failing pod makes up --exit leave with status 1 and say why', async (t) => {
  const directory = t.testdir({
    'pod.yaml': `
kind: Pod
metadata: {name: bad}
spec:
  restartPolicy: Never
  tolerations: [{operator: Exists}]
  containers: [{name: main, image: host, command: [sh, -c, 'echo before; exit 3']}]
`
  })
  const { code, stdout } = await runInterlink(['up', '--exit', '--pod', `${directory}/pod.yaml`])
  t.equal(code, 1)
  t.match(stdout, /│ before/)
  t.match(stdout, /→ Failed/)
  t.match(stdout, /container main ended with exit code 3 \(Error\)/)
})

t.test('a pod file with an error is refused before anything starts, by file and line', async (t) => {
  const directory = t.testdir({
    'bad.yaml': 'kind: Pod\nmetadata: {name: x\nspec: [',
    'none.yaml': 'kind: Service\n'
  })
  const bad = await runInterlink(['up', '--exit', '--pod', `${directory}/bad.yaml`])
  t.equal(bad.code, 1)
  t.match(bad.stderr, /bad\.yaml:\d+: /)
  const none = await runInterlink(['up', '--exit', '--pod', `${directory}/none.yaml`])
  t.match(none.stderr, /no pod in it; .*found Service/)
})
