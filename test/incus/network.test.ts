import t from 'tap'
import { connect } from 'node:net'
import { join } from 'node:path'
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

  // No list of the backend comes between its beginning and its end.
  const dir = join(lab.dir, 'seldom')
  const seldom = await startIncusPlugin(t, lab, dir, {}, { listSeconds: 3600, idleListSeconds: 3600 })
  const short = incusPod('ip -4 addr show eth0')
  const parted = incusPod('ip -4 addr show eth0', {
    annotations: { 'interlink.io/incus-layout': 'containers' }
  })
  const told: string[] = []
  for (const pod of [short, parted]) {
    await seldom.client.create(pod)
    const { podIP: brief } = await whenStatus(seldom.client, pod, isOver)
    t.match(brief, /^10\./, 'it is there with the first word of the end')
    t.match(await logOf(seldom.client, pod), `inet ${brief}/`)
    told.push(brief!)
  }
  await seldom.close()
  const next = await startIncusPlugin(t, lab, dir)
  for (const [index, pod] of [short, parted].entries())
    t.equal((await whenStatus(next.client, pod, isOver)).podIP, told[index], 'also after a restart')

  await client.delete(refOf(server))
  await eventually(async () => (await statusOf(client, server)) === undefined)
})
