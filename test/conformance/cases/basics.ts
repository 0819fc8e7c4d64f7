import { deepEqual, equal, match, ok } from 'node:assert/strict'
import type { Case } from '../run-cases.ts'
import { of } from '../workbench.ts'

export const basics: readonly Case[] = [
  {
    name: 'a pod runs to its end, with its own times, exit code 0 and reason Completed',
    async run({ run, shell }) {
      const pod = await run({ containers: [shell('echo hello; sleep 12')] })
      const started = of(await pod.running())
      ok(started.ready && started.started)
      const { state, containerID, imageID, restartCount } = of(await pod.ended())
      const { exitCode, reason, startedAt, finishedAt } = state!.terminated!
      deepEqual({ exitCode, reason, restartCount }, { exitCode: 0, reason: 'Completed', restartCount: 0 })
      const seconds = (Date.parse(finishedAt!) - Date.parse(startedAt!)) / 1000
      ok(seconds >= 11, `${seconds} s`)
      ok(containerID && imageID)
      equal(await pod.log(), 'hello\n')
    }
  },
  {
    name: 'an exit code is told as it is',
    async run({ run, shell }) {
      const pod = await run({ containers: [shell('exit 42')] })
      const { exitCode, reason } = of(await pod.ended()).state!.terminated!
      deepEqual({ exitCode, reason }, { exitCode: 42, reason: 'Error' })
    }
  },
  {
    name: 'a container that dies by a signal ends with 128 and its number',
    async run({ run, shell }) {
      const pod = await run({ containers: [shell('kill -KILL $$$$')] })
      equal(of(await pod.ended()).state!.terminated!.exitCode, 137)
    }
  },
  {
    name: 'a command that is not there is an error that names it',
    async run({ run, image }) {
      const pod = await run({ containers: [{ name: 'main', image, command: ['no-such-command-here'] }] })
      const { exitCode, message } = of(await pod.ended()).state!.terminated!
      ok([126, 127, 128].includes(exitCode), String(exitCode))
      match(`${message} ${await pod.log()}`, /no-such-command-here/)
    }
  },
  {
    name: 'the containers of a pod run side by side, each with its own state and log',
    async run({ run, shell }) {
      const names = ['one', 'two', 'three']
      const others = names.map((name) => `[ -e /share/${name} ]`).join(' && ')
      const meet = `until ${others}; do sleep 0.1; done`
      const pod = await run({
        containers: names.map((name, code) =>
          shell(`echo I am ${name}; touch /share/${name}; ${meet}; exit ${code}`, {
            name,
            volumeMounts: [{ name: 'share', mountPath: '/share' }]
          })
        ),
        volumes: [{ name: 'share', emptyDir: {} }]
      })
      const status = await pod.ended()
      deepEqual(
        names.map((name) => of(status, name).state!.terminated!.exitCode),
        [0, 1, 2]
      )
      for (const name of names) equal(await pod.log(name), `I am ${name}\n`)
    }
  },
  {
    name: 'the working directory is the one asked for',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell('pwd', { workingDir: '/work/deep', volumeMounts: [{ name: 'w', mountPath: '/work/deep' }] })
        ],
        volumes: [{ name: 'w', emptyDir: {} }]
      })
      await pod.ended()
      equal(await pod.log(), '/work/deep\n')
    }
  },
  {
    name: 'a working directory that is not there is an error, not another directory',
    async run({ run, shell }) {
      const pod = await run({ containers: [shell('pwd', { workingDir: '/no/such/directory' })] })
      ok(of(await pod.ended()).state!.terminated!.exitCode !== 0)
    }
  },
  {
    name: 'the last words are read from the termination message file',
    async run({ run, shell }) {
      const pod = await run({ containers: [shell('printf sorry >/dev/termination-log; exit 1')] })
      equal(of(await pod.ended()).state!.terminated!.message, 'sorry')
      const other = await run({
        containers: [
          shell('printf elsewhere >/last/words; exit 1', { terminationMessagePath: '/last/words' })
        ]
      })
      equal(of(await other.ended()).state!.terminated!.message, 'elsewhere')
    }
  },
  {
    name: 'where the policy asks for it, the last words are the end of the log',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell('echo first; echo last; exit 1', { terminationMessagePolicy: 'FallbackToLogsOnError' })
        ]
      })
      match(of(await pod.ended()).state!.terminated!.message!, /last/)
    }
  },
  {
    name: 'the pod of a hardened namespace runs, and sees the uid it asks for or is told that it does not',
    async run({ run, shell }) {
      const pod = await run({
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 1234,
          runAsGroup: 2345,
          fsGroup: 2345,
          seccompProfile: { type: 'RuntimeDefault' }
        },
        containers: [
          shell('echo "$(id -u) $(id -g)"; echo ok >/data/x && cat /data/x', {
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] }
            },
            volumeMounts: [{ name: 'data', mountPath: '/data' }]
          })
        ],
        volumes: [{ name: 'data', emptyDir: {} }]
      })
      const status = await pod.ended()
      equal(of(status).state!.terminated!.exitCode, 0, await pod.log())
      const [ids, written] = (await pod.log()).split('\n')
      equal(written, 'ok')
      const told = status.notices?.some(({ reason }) => reason === 'UserNotMapped')
      ok(ids === '1234 2345' || told, `${ids} and ${JSON.stringify(status.notices)}`)
    }
  },
  {
    name: 'a read-only root cannot be written to, its volumes can, or it is told that it can',
    async run({ run, shell }) {
      const pod = await run({
        containers: [
          shell(
            'touch /usr/interlink-was-here 2>/dev/null && rm /usr/interlink-was-here && echo writable; touch /data/x',
            {
              securityContext: { readOnlyRootFilesystem: true },
              volumeMounts: [{ name: 'data', mountPath: '/data' }]
            }
          )
        ],
        volumes: [{ name: 'data', emptyDir: {} }]
      })
      const status = await pod.ended()
      equal(of(status).state!.terminated!.exitCode, 0)
      const told = status.notices?.some(({ reason }) => reason === 'RootNotReadOnly')
      ok((await pod.log()) === '' || told, 'the root is writable and nobody says so')
    }
  },
  {
    name: 'a pod sees its host name and the aliases of its hosts file',
    async run({ run, shell }) {
      const pod = await run(
        {
          hostname: 'calculator',
          hostAliases: [{ ip: '192.0.2.7', hostnames: ['seven.example', 'seven'] }],
          containers: [shell('hostname; grep -c "192.0.2.7.*seven.example" /etc/hosts; echo $HOSTNAME')]
        },
        { name: 'calculator' }
      )
      const status = await pod.ended()
      const [name, aliases, variable] = (await pod.log()).split('\n')
      const told = status.notices?.some(({ reason }) => reason === 'HostnameNotSet')
      ok(name === 'calculator' || told, String(name))
      deepEqual([aliases, variable], ['1', 'calculator'])
    }
  }
]
