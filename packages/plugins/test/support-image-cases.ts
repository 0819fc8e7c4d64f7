/** What every runtime of images must do with a pod; each case runs real containers. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { streams } from '../../../test/conformance/cases/streams.ts'
import { of } from '../../../test/conformance/workbench.ts'
import { hostile } from './support-images.ts'
import type { Site } from './support-process.ts'

export interface Case {
  readonly site: Site
  /** The image's name in a pod. */
  readonly image: string
  /** Names such as `a-b` can be set. */
  readonly anyName: boolean
  /** A uid that is asked for is seen. */
  readonly mapsUsers: boolean
}

export async function imageCases(t: Test, { site, image, anyName, mapsUsers }: Case): Promise<void> {
  const shell = (script: string, more: object = {}) => site.shell(script, { image, ...more })

  await t.test('the entrypoint of the image runs with the arguments of the pod', async (t) => {
    const pod = await site.run({ containers: [{ name: 'main', image, args: ['a b', '$(touch x)'] }] })
    const status = await pod.ended()
    t.equal(await pod.log(), 'entered with 2: a b $(touch x)\n')
    t.equal(of(status).state!.terminated!.exitCode, 9)
    t.equal(of(status).state!.terminated!.reason, 'Error')
  })

  await t.test(
    'command, working directory, host name, volumes and last words are as in the pod',
    async (t) => {
      const pod = await site.run(
        {
          hostname: 'in-image',
          volumes: [
            { name: 'config', configMap: { name: 'config' } },
            { name: 'secret', secret: { secretName: 'secret' } },
            { name: 'shared', emptyDir: {} },
            { name: 'memory', emptyDir: { medium: 'Memory' } }
          ],
          containers: [
            shell(
              'cat /etc/os-release; hostname; pwd; cat "/conf/a, b" /secret/key; echo x >/made && ls /made; echo x >/data/seen; echo x >/dev/shm/x; echo x >/dev/null; wc -c </dev/null; echo "bye $?" >/dev/termination-log; exit 42',
              {
                workingDir: '/var/tmp',
                volumeMounts: [
                  { name: 'config', mountPath: '/conf' },
                  { name: 'secret', mountPath: '/secret', readOnly: true },
                  { name: 'shared', mountPath: '/data' },
                  { name: 'memory', mountPath: '/dev/shm' }
                ]
              }
            ),
            shell(
              'until [ -e /data/seen ]; do sleep 0.1; done; touch /made || touch /data/mine && stat -c %a /data/mine >/dev/null && exit 4',
              {
                name: 'readonly',
                securityContext: { readOnlyRootFilesystem: true },
                volumeMounts: [{ name: 'shared', mountPath: '/data' }]
              }
            )
          ]
        },
        {
          configmaps: [{ metadata: { name: 'config' }, data: { 'a, b': 'from config\n' } }],
          secrets: [
            { metadata: { name: 'secret' }, data: { key: Buffer.from('from secret\n').toString('base64') } }
          ]
        }
      )
      const status = await pod.ended()
      t.equal(await pod.log(), 'ID=little\nin-image\n/var/tmp\nfrom config\nfrom secret\n/made\n0\n')
      t.match(of(status).state!.terminated, { exitCode: 42, reason: 'Error', message: 'bye 0\n' })
      t.match(await pod.log('readonly'), /Read-only file system/)
      t.equal(of(status, 'readonly').state!.terminated!.exitCode, 4)
    }
  )

  await t.test('no variable of a pod steers a program of the machine, and none is evaluated', async (t) => {
    // What the loader of any program of the machine would have to say of this file ends up in the log.
    const env = [
      ...hostile('/data/evil.so').map((entry) => ({ ...entry })),
      ...(anyName
        ? [
            { name: 'a-b', value: 'dash' },
            { name: 'a.b', value: 'dot' }
          ]
        : [])
    ]
    const volumes = [{ name: 'shared', emptyDir: {} }]
    const volumeMounts = [{ name: 'shared', mountPath: '/data' }]
    const show = [
      '/bin/sh',
      '-c',
      'tr "\\0" "\\n" </proc/self/environ >/data/probe.new && mv /data/probe.new /data/probe || cp /data/probe.new /data/probe'
    ]
    const pod = await site.run({
      volumes,
      containers: [
        shell(
          'echo x >/data/evil.so; cp /proc/self/environ /data/environ; until [ -s /data/probe ]; do sleep 0.1; done; ls /data; cat /stolen 2>/dev/null; exit 0',
          {
            env,
            volumeMounts,
            lifecycle: { postStart: { exec: { command: show } } }
          }
        )
      ]
    })
    const status = await pod.ended()
    t.match(of(status).state!.terminated, { exitCode: 0 })
    t.equal(
      (await pod.log()).replace(/^probe\.new\n/m, ''),
      'environ\nevil.so\nprobe\n',
      'nothing was evaluated, nothing complained'
    )
    const dir = join(site.jobs, `conformance-${pod.uid}`, 'volumes/shared')
    const seen = new Map(
      (await readFile(join(dir, 'environ'), 'utf8')).split('\0').map((entry) => {
        const at = entry.indexOf('=')
        return [entry.slice(0, at), entry.slice(at + 1)] as const
      })
    )
    for (const { name, value } of env)
      t.equal(seen.get(name)?.replace(/:\/\.singularity\.d\/libs$/, ''), value, name)
    const probe = await readFile(join(dir, 'probe'), 'utf8')
    for (const { name, value } of env) t.ok(probe.includes(`${name}=${value}`), `the hook sees ${name}`)
  })

  await t.test('probes and hooks run in the instance, and the end is TERM, grace and KILL', async (t) => {
    const containers = [
      shell('touch /alive; trap "echo termed; exit 3" TERM; while :; do sleep 0.1; done', {
        readinessProbe: { exec: { command: ['/bin/sh', '-c', 'ls /alive'] }, periodSeconds: 1 },
        lifecycle: {
          preStop: {
            exec: { command: ['/bin/sh', '-c', 'ls /alive >/proc/1/fd/1 2>/dev/null; touch /data/hook'] }
          }
        },
        volumeMounts: [{ name: 'v', mountPath: '/data' }]
      }),
      shell('trap "" TERM; while :; do sleep 0.1; done', { name: 'deaf' })
    ]
    const pod = await site.run({
      volumes: [{ name: 'v', emptyDir: {} }],
      containers,
      terminationGracePeriodSeconds: 3
    })
    await pod.until((status) => of(status).ready === true, 'ready')
    const { jobs } = site
    const volume = join(jobs, `conformance-${pod.uid}`, 'volumes/v')
    await pod.running('deaf')
    await writeFile(join(jobs, `conformance-${pod.uid}`, 'stop'), '3')
    const status = await pod.ended()
    t.equal(of(status).state!.terminated!.exitCode, 3)
    t.match(await pod.log(), /^termed$/m)
    t.equal(of(status, 'deaf').state!.terminated!.exitCode, 137)
    t.same(await readFile(join(volume, 'hook'), 'utf8'), '')
  })

  await t.test(
    mapsUsers ? 'a uid that is asked for is seen' : 'a uid that cannot be given is said',
    async (t) => {
      const pod = await site.run(
        {
          volumes: [
            { name: 'v', emptyDir: {} },
            { name: 'config', configMap: { name: 'config' } }
          ],
          containers: [
            shell('id -u; cat /conf/key; touch /data/x && echo bye >/dev/termination-log', {
              securityContext: { runAsUser: 1234 },
              volumeMounts: [
                { name: 'v', mountPath: '/data' },
                { name: 'config', mountPath: '/conf' }
              ]
            })
          ]
        },
        { configmaps: [{ metadata: { name: 'config' }, data: { key: 'value\n' } }] }
      )
      const status = await pod.ended()
      t.equal(await pod.log(), `${mapsUsers ? 1234 : site.uid}\nvalue\n`)
      t.match(of(status).state!.terminated, { exitCode: 0, message: 'bye\n' })
    }
  )

  await t.test('a command that is not in the image fails', async (t) => {
    const pod = await site.run({ containers: [{ name: 'main', image, command: ['/none'] }] })
    t.not(of(await pod.ended()).state!.terminated!.exitCode, 0)
  })

  await t.test('a part of a volume is mounted, and none that leads out of it', async (t) => {
    const main = (subPath: string) =>
      shell('echo x >/part/made; ls /part /data', {
        volumeMounts: [
          { name: 'v', mountPath: '/part', subPath },
          { name: 'v', mountPath: '/data' }
        ]
      })
    const pod = (subPath: string) => ({
      volumes: [{ name: 'v', emptyDir: {} }],
      initContainers: [
        shell('ln -s / /data/out; ln -s ../../../../.. /data/up', {
          name: 'init',
          volumeMounts: [{ name: 'v', mountPath: '/data' }]
        })
      ],
      containers: [main(subPath)]
    })
    const within = await site.run(pod('a/b'))
    t.equal(of(await within.ended()).state!.terminated!.exitCode, 0)
    t.equal(await within.log(), '/data:\na\nout\nup\n\n/part:\nmade\n')
    for (const subPath of ['out/tmp', 'up', 'out']) {
      const escape = await site.run(pod(subPath))
      t.match(of(await escape.ended()).state!.terminated, {
        reason: 'StartError',
        message: `subPath ${subPath} leaves its volume`
      })
    }
  })

  for (const { name, run } of streams) await t.test(name, () => run({ ...site, shell }))
}
