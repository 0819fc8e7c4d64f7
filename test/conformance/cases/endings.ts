import { deepEqual, equal, match, ok } from 'node:assert/strict'
import type { Case } from '../run-cases.ts'
import { of } from '../workbench.ts'

export const endings: readonly Case[] = [
  {
    name: 'a deleted pod is sent TERM, may say good-bye, and is gone when it has stopped',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell(
            'exec 2>/dev/null; trap "echo bye; sleep 1; echo gone; exit 0" TERM; echo up; while :; do sleep 0.1; done'
          )
        ]
      })
      await pod.running()
      const { stream } = await pod.logStream('main', { Follow: true })
      let log = ''
      const read = (async () => {
        for await (const chunk of stream) log += String(chunk)
      })()
      await pod.until(() => log.includes('up'), 'up')
      await pod.delete(30)
      await read
      equal(log, 'up\nbye\ngone\n')
      await pod.gone()
    }
  },
  {
    name: 'a pod that does not heed TERM is killed when the grace is over',
    async run({ run, shell }) {
      const pod = await run({
        containers: [shell('exec 2>/dev/null; trap "" TERM; echo up; while :; do sleep 0.1; done')]
      })
      await pod.said('up')
      const began = Date.now()
      await pod.delete(2)
      await pod.gone()
      const seconds = (Date.now() - began) / 1000
      ok(seconds >= 1.5 && seconds < 30, `${seconds} s`)
    }
  },
  {
    name: 'a second deletion with a shorter grace shortens it',
    async run({ run, shell }) {
      const pod = await run({
        containers: [shell('exec 2>/dev/null; trap "" TERM; echo up; while :; do sleep 0.1; done')]
      })
      await pod.said('up')
      await pod.delete(600)
      await pod.delete(0)
      await pod.gone()
    }
  },
  {
    name: 'a pod that is active for longer than its deadline ends with DeadlineExceeded',
    async run({ run, shell }) {
      const pod = await run({
        activeDeadlineSeconds: 2,
        terminationGracePeriodSeconds: 1,
        containers: [shell('sleep 60')]
      })
      const status = await pod.until(
        (now) => now.reason !== undefined && of(now).state?.terminated !== undefined,
        'ended by its deadline'
      )
      equal(status.reason, 'DeadlineExceeded')
      ok(of(status).state!.terminated!.exitCode !== 0)
    }
  },
  {
    name: 'a container that uses more memory than its limit is killed with OOMKilled',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell("x=$(head -c 200000000 /dev/zero | tr '\\0' x); sleep 30; echo ${#x}", {
            resources: { limits: { memory: '64Mi' }, requests: { memory: '64Mi' } }
          })
        ]
      })
      const { exitCode, reason } = of(await pod.ended()).state!.terminated!
      deepEqual({ exitCode, reason }, { exitCode: 137, reason: 'OOMKilled' })
    }
  },
  {
    name: 'nothing that a container has left in the background outlives it',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell('(while :; do touch /share/beat; sleep 0.2; done) & sleep 1', {
            volumeMounts: [{ name: 'share', mountPath: '/share' }]
          }),
          shell('sleep 10; rm -f /share/beat; sleep 1; ls /share', {
            name: 'witness',
            volumeMounts: [{ name: 'share', mountPath: '/share' }]
          })
        ],
        volumes: [{ name: 'share', emptyDir: {} }]
      })
      await pod.ended()
      equal(await pod.log('witness'), '')
    }
  },
  {
    name: 'the signal of the image’s choice is sent where the pod names one',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell(
            'exec 2>/dev/null; trap "echo usr1; exit 0" USR1; trap "echo term; exit 0" TERM; echo up; while :; do sleep 0.1; done',
            {
              lifecycle: { stopSignal: 'SIGUSR1' }
            }
          )
        ]
      })
      await pod.running()
      const { stream } = await pod.logStream('main', { Follow: true })
      let log = ''
      const read = (async () => {
        for await (const chunk of stream) log += String(chunk)
      })()
      await pod.until(() => log.includes('up'), 'up')
      await pod.delete(60)
      await read
      match(log, /^up\nusr1\n$/)
    }
  }
]
