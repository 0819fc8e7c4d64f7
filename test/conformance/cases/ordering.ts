import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Case } from '../run-cases.ts'
import { of } from '../workbench.ts'

const share = { volumeMounts: [{ name: 'share', mountPath: '/share' }] }
const volumes = [{ name: 'share', emptyDir: {} }]

export const ordering: readonly Case[] = [
  {
    name: 'init containers run one after the other, before the main containers',
    async run({ run, shell }) {
      const pod = await run({
        initContainers: ['a', 'b'].map((name) =>
          shell(`echo ${name} >>/share/order; sleep 5`, { name, ...share })
        ),
        containers: [shell('cat /share/order', share)],
        volumes
      })
      await pod.until((status) => of(status).state?.waiting?.reason === 'PodInitializing', 'initializing')
      const status = await pod.ended()
      equal(await pod.log(), 'a\nb\n')
      const { startedAt, finishedAt } = of(status, 'a').state!.terminated!
      ok(Date.parse(of(status, 'b').state!.terminated!.startedAt!) >= Date.parse(finishedAt!), startedAt)
    }
  },
  {
    name: 'an init container that fails ends the pod, and no main container is started',
    async run({ run, shell }) {
      const pod = await run({
        initContainers: [shell('exit 5', { name: 'init' })],
        containers: [shell('echo started')]
      })
      const status = await pod.ended()
      equal(of(status, 'init').state!.terminated!.exitCode, 5)
      equal(of(status).state?.running, undefined)
      await new Promise((resolve) => setTimeout(resolve, 1500))
      equal(of((await pod.status())!).containerID, undefined)
    }
  },
  {
    name: 'an init container that fails is tried again where the pod is restarted on failure',
    async run({ run, shell }) {
      const pod = await run({
        restartPolicy: 'OnFailure',
        initContainers: [
          shell('[ -e /share/once ] || { touch /share/once; exit 1; }', { name: 'init', ...share })
        ],
        containers: [shell('echo main')],
        volumes
      })
      const status = await pod.ended()
      equal(of(status, 'init').restartCount, 1)
      equal(await pod.log(), 'main\n')
    }
  },
  {
    name: 'a sidecar is up before the main container and ends after it, without failing the pod',
    async run({ run, shell }) {
      const pod = await run({
        initContainers: [
          shell(
            'exec 2>/dev/null; touch /share/up; trap "echo stopped; exit 0" TERM; while :; do sleep 0.2; done',
            {
              name: 'sidecar',
              restartPolicy: 'Always',
              startupProbe: { exec: { command: ['test', '-e', '/share/up'] }, periodSeconds: 1 },
              ...share
            }
          )
        ],
        containers: [shell('ls /share', share)],
        volumes
      })
      await pod.until((status) => of(status).state?.terminated !== undefined, 'ended (main)')
      const status = await pod.until(
        (now) => of(now, 'sidecar').state?.terminated !== undefined,
        'ended (sidecar)'
      )
      equal(await pod.log(), 'up\n')
      equal(await pod.log('sidecar'), 'stopped\n')
      ok(
        Date.parse(of(status, 'sidecar').state!.terminated!.finishedAt!) >=
          Date.parse(of(status).state!.terminated!.finishedAt!)
      )
    }
  },
  {
    name: 'a container that fails is restarted where the policy says so, and its attempts are counted',
    async run({ run, shell }) {
      const pod = await run({
        restartPolicy: 'OnFailure',
        containers: [
          shell('echo attempt; if [ -e /share/once ]; then exit 0; fi; touch /share/once; exit 7', share)
        ],
        volumes
      })
      const status = await pod.until((now) => of(now).state?.terminated?.exitCode === 0, 'succeeded')
      equal(of(status).restartCount, 1)
      const { exitCode, reason } = of(status).lastState!.terminated!
      deepEqual({ exitCode, reason }, { exitCode: 7, reason: 'Error' })
    }
  },
  {
    name: 'a container that fails again and again waits in CrashLoopBackOff',
    async run({ run, shell }) {
      const pod = await run({ restartPolicy: 'Always', containers: [shell('exit 1')] })
      const status = await pod.until(
        (now) => of(now).state?.waiting?.reason === 'CrashLoopBackOff',
        'in CrashLoopBackOff'
      )
      ok(of(status).restartCount! >= 1)
      equal(of(status).lastState!.terminated!.exitCode, 1)
    }
  }
]
