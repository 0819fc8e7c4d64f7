import t from 'tap'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { startInterlink } from '../support/interlink.ts'
import { kubectlEnv, kubectlFor, kubectlUnavailable } from '../support/kubectl.ts'
import { requireReal } from '../support/require-real.ts'
import { startReferenceServer } from './reference-server.ts'

if (requireReal(t, kubectlUnavailable())) {
  const dir = t.testdir()
  const server = await startReferenceServer()
  t.teardown(() => server.close())
  const cluster = await startDevCluster()
  t.teardown(() => cluster.close())
  const kubeconfig = join(dir, 'kubeconfig')
  await writeFile(kubeconfig, cluster.kubeconfig, { mode: 0o600 })
  await writeFile(
    join(dir, 'vk.yaml'),
    stringify({
      kubeconfig,
      interlink: { url: server.url },
      stateDirectory: join(dir, 'node'),
      nodes: [{ name: 'reference' }],
      kubelet: { address: '127.0.0.1', port: await freePort() },
      page: false
    })
  )
  const vk = startInterlink(['vk', '--config', join(dir, 'vk.yaml')], {
    env: { PATH: process.env.PATH, HOME: dir, POD_IP: '127.0.0.1' }
  })
  t.teardown(() => vk.stop())
  const kubectl = kubectlFor(kubectlEnv(kubeconfig, dir))
  const run = async (...args: string[]) => (await kubectl(args)).stdout
  const apply = (name: string) =>
    kubectl(['apply', '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        spec: {
          nodeName: 'reference',
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'main', image: 'busybox' }]
        }
      })
    })
  const phases = async () =>
    Object.fromEntries(
      (
        await run(
          'get',
          'pods',
          '-o',
          'jsonpath={range .items[*]}{.metadata.name}={.status.phase}{"\\n"}{end}'
        )
      )
        .trim()
        .split('\n')
        .map((line) => line.split('='))
    ) as Record<string, string>
  const patience = { deadlineMs: 180_000 }

  t.test(
    'with a server of the reference alone every pod runs, ends and goes, and none is lost',
    async (t) => {
      await eventually(
        async () => / Ready /.test(await run('get', 'node', 'reference', '--no-headers')),
        patience
      )
      const names = ['a', 'b', 'c', 'd']
      for (const name of [...names, 'refused']) await apply(name)
      await eventually(async () => {
        const seen = await phases()
        return names.every((name) => seen[name] === 'Running')
      }, patience)
      await eventually(async () => {
        const path = 'jsonpath={.status.phase} {.status.reason} {.status.message}'
        return /^Failed ProviderFailed .*sbatch: error: invalid account/.test(
          await run('get', 'pod', 'refused', '-o', path)
        )
      }, patience)
      t.equal(await run('logs', 'a'), 'a line\n')
      names.forEach((name, index) => server.finish(name, index))
      await eventually(async () => {
        const seen = await phases()
        return names.every((name, index) => seen[name] === (index === 0 ? 'Succeeded' : 'Failed'))
      }, patience)
      const codes = await run(
        'get',
        'pods',
        ...names,
        '-o',
        'jsonpath={.items[*].status.containerStatuses[0].state.terminated.exitCode}'
      )
      t.equal(codes, '0 1 2 3')
      for (const name of names) t.equal(server.calls.filter((call) => call === `create ${name}`).length, 1)
    }
  )

  t.test('a deletion that is answered with an error is asked for again', async (t) => {
    await apply('goes')
    await eventually(async () => (await phases()).goes === 'Running', patience)
    await run('delete', 'pod', 'goes', '--wait=false')
    await eventually(async () => !('goes' in (await phases())), patience)
    t.ok(server.calls.filter((call) => call === 'delete goes').length >= 2)
  })
}
