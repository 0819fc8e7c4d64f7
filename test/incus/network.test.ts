import t from 'tap'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, letGo, startIncusPlugin, waiting } from './incus-plugin.ts'

void t.test('a pod has an address of its own, at which the machine and other pods reach it', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab({ network: true })
  t.teardown(() => lab.close())
  const { client } = await startIncusPlugin(t, lab)
  const server = incusPod('exec nc -ll -p 8080 -e echo "hello from $(hostname)"')
  await client.create(server)
  const { podIP } = await whenStatus(client, server, (status) => isRunning(status) && status.podIP)
  t.match(podIP, /^10\.\d+\.\d+\.\d+$/)
  t.equal(await eventually(() => text(connect(8080, podIP!))), `hello from ${server.pod.metadata.name}\n`)

  const caller = incusPod(
    `until nc ${podIP} 8080 </dev/null; do sleep 0.2; done; ip route; cat /etc/resolv.conf; ${waiting}`
  )
  const { PodJID } = await client.create(caller)
  const { podIP: own } = await whenStatus(client, caller, (status) => isRunning(status) && status.podIP)
  t.not(own, podIP)
  await letGo(lab, PodJID)
  const ended = await whenStatus(client, caller, isOver)
  const [said, ...facts] = (await logOf(client, caller)).split('\n')
  t.equal(said, `hello from ${server.pod.metadata.name}`)
  t.match(facts.join('\n'), /^default via 10\./m)
  t.match(facts.join('\n'), /^nameserver 10\./m)
  t.equal(ended.podIP, own, 'also one that has ended')

  await client.delete(refOf(server))
  await eventually(async () => (await statusOf(client, server)) === undefined)
})
