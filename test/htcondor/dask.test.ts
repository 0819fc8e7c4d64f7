import t from 'tap'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { stateOf } from '../support/backend-cluster.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { venv } from '../support/venv.ts'
import { startHtcondorCluster } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const dask = venv('dask')
const missing = htcondorUnprepared() ?? controlPlaneUnavailable() ?? dask.missing

/** Primes below 100 000, counted by all workers; and the slot of each of them. */
const client = `
import os, sys
from distributed import Client

def primes(start):
    return sum(all(n % d for d in range(2, int(n ** 0.5) + 1)) for n in range(max(2, start), start + 2500))

with Client(sys.argv[1], timeout='240s') as client:
    client.wait_for_workers(4, timeout=360)
    print(sum(client.gather(client.map(primes, range(0, 100000, 2500)))))
    slots = client.run(lambda dask_worker: (dask_worker.name, os.environ['_CONDOR_SLOT']))
    print(*sorted(' '.join(slot) for slot in slots.values()), sep='\\n')
`

const names = ['worker-1', 'worker-2', 'worker-3', 'worker-4']

const podOf = (name: string, args: readonly string[]) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 2,
    nodeName: 'interlink',
    containers: [{ name: 'main', image: 'host', command: [dask.python, ...args] }]
  }
})

t.test('a Dask cluster of a scheduler and four workers counts primes on the pool', async (t) => {
  if (!requireReal(t, missing)) return
  const [lab, cluster] = await Promise.all([
    startHtcondorLab({ prefix }),
    startControlPlane({ scheduler: false })
  ])
  t.teardown(() => lab.close())
  t.teardown(() => cluster.stop())
  const { apply, until, kubectl } = await startHtcondorCluster(t, lab.options, 'interlink', cluster)
  const file = join(lab.dir, 'scheduler.json')
  await apply(
    podOf('scheduler', [
      ...['-m', 'distributed.cli.dask_scheduler', '--port', '0', '--scheduler-file', file, '--no-dashboard']
    ])
  )
  const { podIP } = await until('scheduler', (status) => stateOf(status, 'running'))
  t.equal(podIP, '127.0.0.1', 'the address of its machine, of which the pool tells')
  const port = await eventually(async () => {
    const { address } = JSON.parse(await readFile(file, 'utf8')) as { address: string }
    return new URL(address).port
  })
  for (const name of names)
    await apply(
      podOf(name, [
        ...['-m', 'distributed.cli.dask_worker', `tcp://${podIP}:${port}`, '--name', name],
        ...['--nthreads', '1', '--no-nanny', '--no-dashboard', '--death-timeout', '480']
      ])
    )
  await apply(podOf('driver', ['-c', client, `tcp://${podIP}:${port}`]))
  await until('driver', ({ phase }) => phase === 'Succeeded', 480_000)
  const [count, ...slots] = (await kubectl(['logs', 'driver'])).stdout.trim().split('\n')
  t.equal(count, '9592')
  t.same(
    slots.map((line) => line.split(' ')[0]),
    names
  )
  t.ok(
    slots.every((line) => / slot1_\d+$/.test(line)),
    'each in a slot of the pool'
  )
})
