import { execFile } from 'node:child_process'
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Type, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { ImageOptions } from '../src/kit/containers/images.ts'
import { ContainerOptionsSchema, type LaunchOptions } from '../src/slurm/launch.ts'
import { requireReal } from '../../../test/support/require-real.ts'
import {
  accountDir,
  busyboxImage,
  findApptainer,
  identity,
  processesWith,
  runPlan
} from './support-apptainer.ts'
import { planOf, type Given } from './support-plan.ts'
import { until } from './support-supervisor.ts'

const call = promisify(execFile)
const complete = <T extends TSchema>(schema: T, value: unknown) =>
  Value.Parse(schema, Value.Default(schema, value))
const schema = Type.Object({ images: ImageOptions, containers: ContainerOptionsSchema })

t.test('pods under the real Apptainer', { timeout: 240_000 }, async (t) => {
  const found = await findApptainer()
  if (!requireReal(t, 'why' in found ? found.why : undefined) || 'why' in found) return
  const { tool } = found
  const home = await accountDir(t)
  const image = await busyboxImage(home)
  const options: LaunchOptions = complete(schema, {
    images: { cache: join(home, 'cache') },
    containers: { tool }
  })
  const sh = (script: string) => ['/bin/sh', '-c', script]
  const run = (given: Given) => {
    const { container, ...rest } = given
    return runPlan(
      t,
      home,
      planOf({
        ...rest,
        spec: { restartPolicy: 'Never', ...given.spec },
        container: { image, ...container },
        policy: { backend: { readOnlyRoot: true, hostname: true } as never }
      }),
      options
    )
  }

  await t.test('a command sees its environment to the letter, and nothing of the machine', async (t) => {
    const nasty = 'a "b" \'c\' $(id) `id` \\ \n second ; & | * ✓'
    const job = await run({
      container: {
        command: sh(
          'printf "[%s]\\n" "$X" "$EMPTY" "$HOME" "$PATH" "$HOSTNAME"; hostname; env | grep -c ^INTERLINK_H'
        ),
        env: [
          { name: 'X', value: nasty },
          { name: 'EMPTY', value: '' },
          { name: 'HOME', value: '/work' },
          { name: 'PATH', value: '/bin:/opt/own' },
          { name: 'LD_PRELOAD', value: '/nothing.so' }
        ]
      }
    })
    t.match(await job.container('main'), { exitCode: 1 })
    t.equal(await job.log('main'), `[${nasty}]\n[]\n[/work]\n[/bin:/opt/own]\n[pod]\npod\n0\n`)
    t.equal(await job.ended, 1, 'grep -c finds nothing')
  })

  await t.test('arguments reach the command to the letter', async (t) => {
    const args = ['$(id)', '`id`', 'a b', '', '"q"', "'s'", '*', '-x', 'l1\nl2']
    const job = await run({ container: { command: ['/bin/printf', '[%s]\\n'], args } })
    await job.container('main')
    t.equal(await job.log('main'), args.map((arg) => `[${arg}]\n`).join(''))
  })

  await t.test('the exit code is that of the command', async (t) => {
    const job = await run({ container: { command: sh('exit 42') } })
    t.match(await job.container('main'), { exitCode: 42, reason: 'Error' })
  })

  for (const [command, code, message] of [
    ['nothing-of-this-name', 127, 'executable file not found in $PATH'],
    ['/no/such/file', 127, 'no such file or directory'],
    ['/etc/passwd', 126, 'permission denied']
  ] as const)
    await t.test(`a command that cannot be started says so: ${command}`, async (t) => {
      const job = await run({ container: { command: [command] } })
      t.match(await job.container('main'), {
        exitCode: code,
        reason: 'StartError',
        message: `exec: "${command}": ${message}`
      })
    })

  await t.test(
    'volumes: files, read-only, a part of one, shared between containers, last words',
    async (t) => {
      const job = await run({
        container: {
          command: sh(
            'exec 2>&1; cat /etc/own/key; echo no >/etc/own/key || echo read-only; until [ -e /data/there ]; do sleep 0.1; done; cat /data/there /part/file; grep -c pod /etc/hosts; echo last words >/dev/termination-log; exit 3'
          ),
          volumeMounts: [
            { name: 'own', mountPath: '/etc/own', readOnly: true },
            { name: 'data', mountPath: '/data' },
            { name: 'data', mountPath: '/part', subPath: 'deep/er' }
          ]
        },
        spec: {
          volumes: [
            { name: 'own', configMap: { name: 'own' } },
            { name: 'data', emptyDir: {} }
          ],
          initContainers: [
            {
              name: 'first',
              image,
              command: sh('mkdir -p /data/deep/er; echo part >/data/deep/er/file; echo there >/data/there'),
              volumeMounts: [{ name: 'data', mountPath: '/data' }]
            }
          ]
        },
        sent: { configMaps: [{ metadata: { name: 'own' }, data: { key: 'value\n' } }] as never }
      })
      t.match(await job.container('main'), { exitCode: 3, message: 'last words\n' })
      t.match(await job.log('main'), /^value\n.*Read-only file system\nread-only\nthere\npart\n[1-9]/s)
    }
  )

  await t.test('a link in a volume does not lead a subPath out of it', async (t) => {
    const job = await run({
      container: { command: ['true'], volumeMounts: [{ name: 'data', mountPath: '/part', subPath: 'link' }] },
      spec: {
        volumes: [{ name: 'data', emptyDir: {} }],
        initContainers: [
          {
            name: 'first',
            image,
            command: ['ln', '-s', home, '/data/link'],
            volumeMounts: [{ name: 'data', mountPath: '/data' }]
          }
        ]
      }
    })
    t.match(await job.container('main'), { reason: 'StartError', message: 'subPath link leaves its volume' })
  })

  await t.test('the root is writable, or not where the pod forbids it', async (t) => {
    const free = await run({ container: { command: sh('echo x >/here && cat /here') } })
    t.match(await free.container('main'), { exitCode: 0 })
    const bound = await run({
      container: {
        command: sh('exec 2>&1; echo x >/here || echo x >/tmp/here && echo tmp'),
        securityContext: { readOnlyRootFilesystem: true }
      }
    })
    await bound.container('main')
    t.match(await bound.log('main'), /Read-only file system\ntmp\n/)
  })

  await t.test('the stop signal reaches the command, which has its grace and its exit code', async (t) => {
    const job = await run({
      container: {
        command: sh('trap "echo got it; sleep 0.3; exit 5" TERM; echo up; while :; do sleep 0.1; done')
      },
      spec: { terminationGracePeriodSeconds: 100 }
    })
    await job.container('main', ({ state }) => state === 'running')
    await until(async () => (await job.log('main').catch(() => '')).includes('up'), 'up')
    await job.stop(100)
    t.match(await job.container('main'), { exitCode: 5 })
    t.match(await job.log('main'), /got it/)
  })

  await t.test('probes and hooks run in the same instance, and nothing is left of it', async (t) => {
    const job = await run({
      container: {
        command: sh(
          'echo "$SECRET" >/dev/null; echo mine >/tmp/mine; until [ -e /tmp/hook ]; do sleep 0.1; done; cat /tmp/hook; sleep 1000'
        ),
        env: [{ name: 'SECRET', value: 'canary-of-the-environment' }],
        lifecycle: { postStart: { exec: { command: sh('echo "hook $SECRET" >/tmp/hook') } } },
        readinessProbe: {
          exec: { command: sh('[ "$(cat /tmp/mine)" = mine ] && [ "$SECRET" ]') },
          periodSeconds: 1
        }
      }
    })
    await job.container('main', ({ state, ready }) => state === 'running' && ready)
    t.equal(await job.log('main'), 'hook canary-of-the-environment\n')
    const { stdout } = await call('ps', ['-ww', '-eo', 'args'])
    t.notMatch(stdout, /canary-of/, 'no secret is in a process list')
    await job.stop(0)
    await job.ended
    await until(
      async () => (await processesWith(job.plan.pod.uid)).length === 0,
      async () => (await processesWith(job.plan.pod.uid)).join('\n')
    )
  })

  await t.test('a container that fails is made anew, with a clean root', async (t) => {
    const job = await run({
      container: { command: sh('[ -e /tmp/was ] && echo dirty; echo x >/tmp/was; exit 1') },
      spec: { restartPolicy: 'OnFailure' }
    })
    await job.container('main', ({ reason, restarts }) => reason === 'CrashLoopBackOff' && restarts >= 1)
    t.equal(await job.log('main', 1), '')
    await job.stop(0)
    await job.ended
  })

  await t.test('the image says what runs, where, and with what', async (t) => {
    const sif = join(home, 'own.sif')
    await writeFile(
      join(home, 'own.def'),
      `Bootstrap: localimage\nFrom: ${image}\n%environment\nexport FROM_IMAGE=yes\n%runscript\necho "ran $@ $FROM_IMAGE $OWN"\n`
    )
    if (identity.uid !== undefined) await chown(join(home, 'own.def'), identity.uid, identity.gid!)
    await call(tool, ['--silent', 'build', sif, join(home, 'own.def')], {
      ...identity,
      cwd: home,
      env: { HOME: home, PATH: '/usr/bin:/bin:/usr/sbin:/sbin' }
    })
    const job = await run({
      container: { image: sif, args: ['a b', '$(id)'], env: [{ name: 'OWN', value: 'too' }] }
    })
    t.match(await job.container('main'), { exitCode: 0 })
    t.equal(await job.log('main'), 'ran a b $(id) yes too\n')
  })
})
