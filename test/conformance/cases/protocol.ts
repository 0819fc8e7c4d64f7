import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { InterlinkError } from '@interlink-ts/interlink-api/errors'
import type { WatchEvent } from '@interlink-ts/interlink-api/wire'
import type { Case } from '../run-cases.ts'
import { of } from '../workbench.ts'

export const protocol: readonly Case[] = [
  {
    name: 'a ping tells the backend, its resources and its capabilities',
    async run({ client }) {
      const { ok: healthy, parsed, capabilities } = await client.ping()
      ok(healthy && parsed?.backend)
      for (const one of ['status.batch', 'create.idempotent', 'delete.durable'])
        ok(capabilities.has(one), one)
    }
  },
  {
    name: 'creating a pod twice, and at the same time, starts it once',
    async run({ run, shell }) {
      const uid = randomUUID()
      const spec = { containers: [shell('echo started; sleep 3')] }
      const pods = await Promise.all(Array.from({ length: 5 }, () => run(spec, { uid, name: 'twice' })))
      const again = await run({ containers: [shell('echo other; exit 1')] }, { uid, name: 'twice' })
      equal(new Set([...pods, again].map(({ jobId }) => jobId)).size, 1)
      const status = await again.ended()
      equal(of(status).state!.terminated!.exitCode, 0)
      equal(await again.log(), 'started\n')
    }
  },
  {
    name: 'deleting a pod that is unknown is a success, and a create that comes late starts nothing',
    async run({ client, run, shell }) {
      const uid = randomUUID()
      await client.delete({ metadata: { uid, name: 'nobody', namespace: 'conformance' } })
      await rejects(run({ containers: [shell('true')] }, { uid }), (error: InterlinkError) => {
        equal(error.code, 'PLUGIN_DELETED')
        return true
      })
    }
  },
  {
    name: 'a pod that is deleted while it is created does not go on running',
    async run({ client, run, shell }) {
      const uid = randomUUID()
      const creating = run({ containers: [shell('sleep 1000')] }, { uid, name: 'hasty' }).catch(
        () => undefined
      )
      await delay(5)
      const ref = {
        metadata: { uid, name: 'hasty', namespace: 'conformance', deletionGracePeriodSeconds: 0 }
      }
      await client.delete(ref)
      await creating
      for (let turn = 0; (await client.status([ref])).length > 0; turn++) {
        ok(turn < 1200, 'it is still reported')
        await delay(150)
      }
    }
  },
  {
    name: 'one question answers for many pods, matched by UID, and leaves out the unknown',
    async run({ client, run, shell }) {
      const pods = await Promise.all([0, 1, 2].map((code) => run({ containers: [shell(`exit ${code}`)] })))
      for (const pod of pods) await pod.ended()
      const unknown = { metadata: { uid: randomUUID(), name: 'x', namespace: 'conformance' } }
      const answers = await client.status([unknown, ...pods.map(({ pod }) => pod)])
      deepEqual(
        pods.map(({ uid }) => of(answers.find(({ UID }) => UID === uid)!).state!.terminated!.exitCode),
        [0, 1, 2]
      )
      equal(answers.length, 3)
    }
  },
  {
    name: 'a watch tells every change, and goes on from its cursor',
    async run({ client, run, shell }) {
      const { capabilities } = await client.ping()
      if (!capabilities.has('watch')) return
      const abort = new AbortController()
      const seen: WatchEvent[] = []
      const watching = (async () => {
        for await (const event of client.watch({ signal: abort.signal })) seen.push(event)
      })().catch(() => {})
      const statuses = (uid: string) =>
        seen.flatMap((event) => (event.type === 'status' && event.status.UID === uid ? [event.status] : []))
      const pod = await run({
        containers: [shell('trap "exit 0" TERM; echo up; while :; do sleep 0.1; done')]
      })
      await pod.said('up')
      await pod.until(() => statuses(pod.uid).some((now) => of(now).state?.running), 'told as running')
      await pod.delete(30)
      await pod.gone()
      for (let turn = 0; !seen.some((event) => event.type === 'gone' && event.UID === pod.uid); turn++) {
        ok(turn < 1200, 'it is not told as gone')
        await delay(150)
      }
      ok(statuses(pod.uid).some((now) => of(now).state?.terminated))
      abort.abort()
      await watching
      const cursor = seen.flatMap((event) => ('cursor' in event ? [event.cursor] : [])).at(0)!
      const resumed: WatchEvent[] = []
      const second = new AbortController()
      for await (const event of client.watch({ signal: second.signal, cursor })) {
        resumed.push(event)
        if (event.type === 'bookmark') break
      }
      second.abort()
      notEqual(resumed[0]?.type, 'reset')
      ok(resumed.some((event) => event.type === 'gone' && event.UID === pod.uid))
    }
  }
]
