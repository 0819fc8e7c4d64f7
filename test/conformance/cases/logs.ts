import { equal, match, ok, rejects } from 'node:assert/strict'
import type { Case } from '../run-cases.ts'

export const logs: readonly Case[] = [
  {
    name: 'a log can be cut by lines, bytes and time, and shown with times',
    async run({ run, shell }) {
      const pod = await run({
        containers: [shell('for i in 1 2 3 4 5; do echo line $i; done; sleep 3; echo later >&2')]
      })
      await pod.ended()
      equal(await pod.log(), 'line 1\nline 2\nline 3\nline 4\nline 5\nlater\n')
      equal(await pod.log('main', { Tail: 2 }), 'line 5\nlater\n')
      equal(await pod.log('main', { Bytes: 6 }), 'line 1')
      match(
        await pod.log('main', { Timestamps: true, Tail: 1 }),
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z later\n$/
      )
      equal(await pod.log('main', { SinceTime: '2100-01-01T00:00:00Z' }), '')
      const [first] = (await pod.log('main', { Timestamps: true, Tail: 1 })).split(' ')
      equal(
        await pod.log('main', { SinceTime: new Date(Date.parse(first!) - 1000).toISOString() }),
        'later\n'
      )
    }
  },
  {
    name: 'a log is followed to the end of the container, and no longer than the reader wants',
    async run({ run, shell }) {
      const pod = await run({ containers: [shell('for i in 1 2 3; do echo $i; sleep 4; done')] })
      await pod.running()
      equal(await pod.log('main', { Follow: true }), '1\n2\n3\n')
      const endless = await run({ containers: [shell('while :; do echo tick; sleep 0.2; done')] })
      await endless.running()
      const abort = new AbortController()
      const { stream } = await endless.logStream('main', { Follow: true }, abort.signal)
      await rejects(async () => {
        for await (const _ of stream) abort.abort()
      })
    }
  },
  {
    name: 'the log of the attempt before is kept, and its absence is said in words',
    async run({ run, shell }) {
      const mounts = { volumeMounts: [{ name: 's', mountPath: '/s' }] }
      const pod = await run({
        restartPolicy: 'OnFailure',
        containers: [
          shell('if [ -e /s/x ]; then echo second; sleep 60; fi; touch /s/x; echo first; exit 1', mounts)
        ],
        volumes: [{ name: 's', emptyDir: {} }]
      })
      await pod.until((status) => status.containers[0]!.restartCount === 1, 'restarted')
      await pod.until((status) => status.containers[0]!.state?.running !== undefined, 'running again')
      equal(await pod.log('main', { Previous: true }), 'first\n')
      const fresh = await run({ containers: [shell('sleep 60')] })
      await fresh.running()
      await rejects(
        fresh.log('main', { Previous: true }),
        /previous terminated container "main" in pod "[^"]+" not found/
      )
    }
  },
  {
    name: 'a log of many lines and long ones arrives whole',
    async run({ run, shell }) {
      const pod = await run({
        containers: [shell("seq 1 20000; head -c 50000 /dev/zero | tr '\\0' x; echo; printf 'no newline'")]
      })
      await pod.ended()
      const lines = (await pod.log()).split('\n')
      equal(lines.length, 20_002)
      equal(lines[19_999], '20000')
      equal(lines[20_000]!.length, 50_000)
      equal(lines[20_001], 'no newline')
    }
  },
  {
    name: 'a container that does not exist, or that has not started, is told apart',
    async run({ run, shell }) {
      const pod = await run({
        initContainers: [shell('sleep 30', { name: 'init' })],
        containers: [shell('true')]
      })
      await pod.running('init')
      await rejects(pod.log('nobody'), /container "nobody"/)
      await rejects(pod.log('main'), /waiting to start: PodInitializing/)
      ok(await pod.status())
    }
  }
]
