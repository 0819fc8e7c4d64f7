import t from 'tap'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import { requireReal } from '../support/require-real.ts'
import { enrollSecond, refusalsOf, startTwoRemotes } from './lab-command.ts'

interface Instance {
  readonly remote: string
  readonly project: string
  readonly name: string
  readonly status: string
}

void t.test('interlink lab: instances of two daemons', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const remotes = await startTwoRemotes(t)
  const { one, lab, json, dir } = remotes
  await enrollSecond(remotes)
  const refusals = refusalsOf(remotes)

  t.test(
    'they are made from images of their own remote and of another, in a project made on the way',
    async (t) => {
      const made = await json('instance', 'create', 'site2:figo-mario.train', 'busybox', '-m', '-t', 'cnt')
      t.match(made, { instance: 'site2:figo-mario.train', type: 'container', projectMade: true })
      const { code, stdout, stderr } = await lab('i', 'c', 'one', 'site2:busybox')
      t.equal(code, 0, stderr)
      t.equal(stdout, 'local:default.one created with profiles default\n')
      await one.run('profile', 'create', 'compute-medium')
      t.match(await json('instance', 'create', 'usual', 'busybox'), {
        profiles: ['default', 'compute-medium']
      })
      await refusals(t, 'instance', [
        [['create', 'one', 'busybox'], /instance local:default\.one is there already; choose another name/],
        [
          ['create', 'two', 'nothing'],
          /no image on remote local nothing; there are busybox, and those of other/
        ],
        [['create', 'two', 'nowhere:debian'], /no remote nowhere; there are local, images, site2/],
        [
          ['create', 'two', 'busybox', '-f', 'wings'],
          /no profile in local:default wings; there are compute-medium, default/
        ],
        [
          ['create', 'site2:nobody.two', 'busybox'],
          /no project on remote site2 nobody; .*project create site2:nobody/
        ],
        [['create', 'two', 'busybox', '-t', 'vm'], /remote local refuses: .*virtual-machine/],
        [['create', 'no_good', 'busybox'], /instance: "no_good" is none: at most 63 letters/],
        [['create', '../../1.0/x', 'busybox'], /instance: "0\/x" is none/],
        [['create', 'a;reboot', 'busybox'], /instance: "a;reboot" is none/],
        [['create', 'two', 'busybox', '-k', join(dir, 'none.pub')], /none\.pub: there is no such file/],
        [['create', 'site2:'], /missing required argument 'image'/]
      ])
      t.same(
        (await json<Instance[]>('instance', 'list', 'local:')).map(({ name }) => name),
        ['one', 'usual']
      )
    }
  )

  t.test('a key goes into cloud-init, whatever its comment says', async (t) => {
    const file = join(dir, 'id')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'me: "a" $(reboot)', '-f', file])
    const { code, stderr } = await lab(
      'instance',
      'create',
      'keyed',
      'busybox',
      '-k',
      `${file}.pub`,
      '-l',
      'mario'
    )
    t.equal(code, 0, stderr)
    const config = JSON.parse(await one.run('query', '/1.0/instances/keyed')).config
    t.match(config['cloud-init.user-data'], /^#cloud-config\n\{.*"name":"mario".*reboot/)
    await refusals(t, 'instance', [
      [['create', 'two', 'busybox', '-k', file], /it is a private key; give the public one/]
    ])
    await lab('instance', 'delete', 'keyed')
  })

  t.test('scopes name one, a project, a remote, or all of them', async (t) => {
    const names = async (...args: string[]) =>
      (await json<Instance[]>('instance', 'list', ...args)).map((i) => `${i.remote}:${i.project}.${i.name}`)
    const all = ['local:default.one', 'local:default.usual', 'site2:figo-mario.train']
    t.same(await names(), all)
    t.same(await names('site2:'), [all[2]])
    t.same(await names('figo-mario.'), [all[2]])
    t.same(await names('-u', 'mario'), [all[2]])
    t.same(await names('local:default.u*'), [all[1]])
    t.same(await names('site2:train'), [all[2]])
    t.same(await names('figo-mario.', '-r', 'site2'), [all[2]])
    t.same(await names('site2:', '-r', 'local', '--relax'), [all[2]])
    t.match(
      (await lab('in', 'l', 'site2:', '-f')).stdout,
      /^REMOTE .*ADDRESS +GPUS.*\nsite2 +figo-mario +train +container +Stopped/
    )
    await refusals(t, 'instance', [
      [['list', 'none:'], /no remote none; there are local, site2/],
      [['list', 'site2:none.'], /no project on remote site2 none; there are default, figo-mario/],
      [['list', 'site2:', '-r', 'local'], /scope: it says remote site2, but --remote says local/],
      [['list', 'a:b:c'], /"a:b:c" is none: expected \[remote:\]\[project\.\]instance/],
      [['start', 'train'], /no instance local:default\.train; there are local:default\.one/],
      [['start', 'site2:train'], /no instance site2:default\.train; did you mean site2:figo-mario\.train/],
      [['start', 'site2:'], /it names no instance/]
    ])
  })

  t.test('they are started, stopped by themselves or by force, and deleted', async (t) => {
    t.match(await json('instance', 'start', 'one'), {
      instance: 'local:default.one',
      changed: true,
      status: 'Running'
    })
    t.equal((await lab('instance', 'start', 'one')).stdout, 'local:default.one is running already\n')
    t.match(await json('instance', 'start', 'site2:figo-mario.train'), { changed: true })
    await refusals(t, 'instance', [
      [['delete', 'one'], /local:default\.one is running; stop it first, or give --force/]
    ])
    const stopped = await lab('instance', 'stop', 'one', '--timeout', '60')
    t.equal(stopped.stdout, 'local:default.one stopped\n', stopped.stderr)
    t.match(await json('instance', 'stop', 'one'), { changed: false })
    await one.run('init', 'busybox', 'deaf', '-c', 'raw.lxc=lxc.signal.halt = 0')
    await one.run('start', 'deaf')
    await refusals(t, 'instance', [
      [
        ['stop', 'deaf', '--timeout', '1'],
        /deaf has not stopped within 1 s and runs on; give --timeout .*--force/
      ],
      [['stop'], /name an instance, or give --all with a scope/],
      [['stop', '--all'], /--all without a scope means every instance of every remote; .*--yes/]
    ])
    t.equal((await lab('instance', 'stop', 'deaf', '--force')).code, 0)
    await lab('instance', 'start', 'one')
    const both = await lab('instance', 'stop', '--all', '--yes', '--force')
    t.equal(both.stdout, 'local:default.one stopped\nsite2:figo-mario.train stopped\n')
    t.equal((await lab('instance', 'stop', '-a', 'site2:figo-mario.')).stdout, 'nothing runs there\n')
    t.match(await json('instance', 'delete', 'deaf'), { status: 'Deleted' })
    await lab('instance', 'start', 'usual')
    t.equal((await lab('instance', 'del', 'usual', '-f')).stdout, 'local:default.usual deleted\n')
    await refusals(t, 'instance', [
      [['delete', 'usual'], /no instance local:default\.usual; there are local:default\.one/]
    ])
  })
})
