import { equal, match, ok } from 'node:assert/strict'
import type { Case } from '../run-cases.ts'
import { of } from '../workbench.ts'

const share = { volumeMounts: [{ name: 'share', mountPath: '/share' }] }
const volumes = [{ name: 'share', emptyDir: {} }]

export const probes: readonly Case[] = [
  {
    name: 'a container is ready when its readiness probe says so, in the instance of the container',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell('sleep 12; touch /share/ready; sleep 60', {
            ...share,
            env: [{ name: 'READY_FILE', value: '/share/ready' }],
            readinessProbe: {
              exec: { command: ['/bin/sh', '-c', 'test -e "$READY_FILE"'] },
              periodSeconds: 1
            }
          })
        ],
        volumes
      })
      equal(of(await pod.running()).ready, false)
      ok(of(await pod.until((status) => of(status).ready === true, 'ready')).state!.running)
    }
  },
  {
    name: 'a container whose liveness probe fails is restarted',
    async run({ run, shell }) {
      const pod = await run({
        restartPolicy: 'Always',
        terminationGracePeriodSeconds: 1,
        containers: [
          shell('echo attempt; sleep 60', {
            livenessProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 2 }
          })
        ]
      })
      const status = await pod.until((now) => of(now).restartCount! >= 1, 'restarted')
      match(JSON.stringify(status.notices ?? []), /[Ll]iveness|restart/)
    }
  },
  {
    name: 'until the startup probe has passed the container is neither started nor ready',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell('sleep 12; touch /share/up; sleep 60', {
            ...share,
            startupProbe: {
              exec: { command: ['test', '-e', '/share/up'] },
              periodSeconds: 1,
              failureThreshold: 30
            }
          })
        ],
        volumes
      })
      const first = of(await pod.running())
      ok(!first.started && !first.ready)
      await pod.until((status) => of(status).started === true && of(status).ready === true, 'started')
    }
  },
  {
    name: 'postStart runs in the container before it is running, preStop before it is told to end',
    async run({ run, shell }) {
      const pod = await run({
        terminationGracePeriodSeconds: 60,
        containers: [
          shell('exec 2>/dev/null; trap "cat /share/hooks; exit 0" TERM; while :; do sleep 0.2; done', {
            ...share,
            lifecycle: {
              postStart: { exec: { command: ['/bin/sh', '-c', 'echo after start >>/share/hooks'] } },
              preStop: { exec: { command: ['/bin/sh', '-c', 'echo before stop >>/share/hooks'] } }
            }
          })
        ],
        volumes
      })
      await pod.running()
      const { stream } = await pod.logStream('main', { Follow: true })
      await pod.delete(60)
      let log = ''
      for await (const chunk of stream) log += String(chunk)
      equal(log, 'after start\nbefore stop\n')
      await pod.gone()
    }
  }
]
