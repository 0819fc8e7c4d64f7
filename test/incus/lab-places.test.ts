import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { refusalsOf, startTwoRemotes } from './lab-command.ts'

interface Remote {
  readonly name: string
  readonly address: string
  readonly state?: string
  readonly version?: string
}

void t.test('interlink lab: remotes, projects and operations of two daemons', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const remotes = await startTwoRemotes(t)
  const { one, two, lab, labWith, json, dir, env } = remotes
  const refusals = refusalsOf(remotes)

  t.test(
    'a remote is enrolled by a token that no argument holds, and known by its certificate',
    async (t) => {
      t.match(await json<Remote[]>('remote', 'list'), [
        { name: 'local', address: 'unix://', isDefault: true }
      ])
      const none = await lab('remote', 'enroll', 'site2')
      t.equal(none.code, 1)
      t.match(none.stderr, /token: there is none; .*incus config trust add NAME.*--token-file/)
      const nonsense = await labWith('hush-hush', 'remote', 'enroll', 'site2')
      t.equal(nonsense.code, 1)
      t.match(nonsense.stderr, /token: it is none; make one/)
      t.notMatch(nonsense.stderr, /hush/)
      const port = new URL(one.url).port
      const wrong = await labWith(await two.token('main'), 'remote', 'enroll', 'site2', '127.0.0.1', port)
      t.equal(wrong.code, 1)
      t.match(wrong.stderr, /shows the certificate .* expected .*the token is of another server/)
      const away = await labWith(await two.token('main'), 'remote', 'enroll', 'site2', '127.0.0.1:1')
      t.match(away.stderr, /remote site2 is away: .*ECONNREFUSED/)
      const odd = await labWith(await two.token('main'), 'remote', 'enroll', '../site2')
      t.match(odd.stderr, /remote: "\.\.\/site2" is none: letters/)
      t.match(await json<Remote[]>('remote', 'list'), [{ name: 'local' }], 'nothing is left of those')

      const file = join(dir, 'token')
      await writeFile(file, await two.token('main'), { mode: 0o600 })
      const done = await lab('remote', 'enroll', 'site2', '--token-file', file)
      t.equal(done.code, 0, done.stderr)
      t.match(done.stdout, /remote site2 is https:\/\/127\.0\.0\.1:\d+, Incus 6/)
      t.equal((await stat(join(dir, 'incus/client.key'))).mode & 0o777, 0o600)
      const full = await json<Remote[]>('remote', 'list', '--full')
      t.match(full, [
        { name: 'local', state: 'up' },
        { name: 'site2', address: two.url, state: 'up', version: /^6/ }
      ])
      const again = await labWith(await two.token('main'), 're', 'enroll', 'site2')
      t.match(again.stderr, /remote site2 is there already; interlink lab remote delete site2/)
      // The incus command of the same account knows it too.
      t.match(execFileSync('incus', ['list', 'site2:', '-f', 'csv'], { env, encoding: 'utf8' }), '')
      t.match(
        (await lab('r', 'l', '-f')).stdout,
        /^NAME +ADDRESS +PROJECT +STATE.*\nlocal \(default\) .* up /
      )
    }
  )

  t.test('a remote is forgotten, here alone or on both sides, but never this machine', async (t) => {
    const here = await lab('remote', 'delete', 'local')
    t.equal(here.code, 1)
    t.match(here.stderr, /remote local is this machine/)
    t.match((await lab('remote', 'delete', 'none')).stderr, /no remote none; there are local, site2/)
    t.match(await json('remote', 'delete', 'site2'), { remote: 'site2', revoked: false })
    const fingerprint = execFileSync('openssl', ['x509', '-noout', '-fingerprint', '-sha256'], {
      input: two.certificate,
      encoding: 'utf8'
    }).split('=')[1]!
    const back = await lab('remote', 'enroll', 'site2', two.url, '--fingerprint', fingerprint.trim())
    t.equal(back.code, 0, back.stderr)
    t.equal((await lab('remote', 'delete', 'site2', '--revoke')).code, 0)
    t.equal((await two.run('config', 'trust', 'list', '-f', 'csv')).trim(), '')
    const stranger = await lab('remote', 'enroll', 'site2', two.url, '--fingerprint', fingerprint.trim())
    t.match(stranger.stderr, /does not know this client; .*incus config trust add/)
    t.notMatch(await readFile(join(dir, 'incus/config.yml'), 'utf8'), /site2/)
    t.equal((await labWith(await two.token('main'), 'remote', 'enroll', 'site2')).code, 0)
  })

  t.test(
    'projects are made on either remote, listed over both, and deleted when they are empty',
    async (t) => {
      t.match(await json('project', 'create', 'site2:figo-mario'), { remote: 'site2', project: 'figo-mario' })
      const user = await lab('project', 'create', '--user', 'mario')
      t.equal(user.code, 0, user.stderr)
      t.match(user.stdout, /project local:figo-mario created/)
      const limited = ['project', 'create', 'site2:tight', '--restricted', '--limit', 'instances=1']
      t.equal((await lab(...limited)).code, 0)
      const all = await json<{ remote: string; name: string }[]>('project', 'list')
      t.same(all.map(({ remote, name }) => `${remote}:${name}`).sort(), [
        'local:default',
        'local:figo-mario',
        'site2:default',
        'site2:figo-mario',
        'site2:tight'
      ])
      t.match(
        all.find(({ name }) => name === 'tight'),
        { restricted: true, sharesProfiles: false }
      )
      t.equal(JSON.parse(await two.run('query', '/1.0/projects/tight')).config['limits.instances'], '1')
      t.match((await lab('project', 'list', 'site2:')).stdout, /^REMOTE +PROJECT .*\nsite2 +default .*own/)
      await refusals(t, 'project', [
        [['create', 'site2:figo-mario'], /project site2:figo-mario is there already; choose another/],
        [['create', 'none:p'], /no remote none; there are local, site2/],
        [['create', 'site2:../../1.0'], /project: "\.\.\/\.\.\/1\.0" is none/],
        [['create', 'site2:a b'], /project: "a b" is none/],
        [['create', '--', '-rf'], /project: "-rf" is none/],
        [['create', 'site2:p', '--remote', 'local'], /says remote site2, but --remote says local; .*--relax/],
        [['create', 'p', '--limit', 'many'], /--limit: "many" is none: expected such as instances=4/],
        [['create', 'p', '--limit', 'dreams=4'], /remote local refuses: .*limits\.dreams/],
        [['delete', 'site2:none'], /no project on remote site2 none; there are default, figo-mario, tight/],
        [['list', 'site2:none'], /no project on remote site2 none/],
        [['create'], /name a project/]
      ])
      await two.run('init', 'busybox', 'inside', '--project', 'figo-mario')
      const held = await lab('project', 'delete', 'site2:figo-mario')
      t.match(held.stderr, /holds instances\/inside; delete them first, or give --force/)
      const usual = await two.run('profile', 'show', 'default')
      t.equal((await lab('project', 'delete', 'site2:figo-mario', '--force')).code, 0)
      t.equal(
        (await two.run('profile', 'show', 'default')).replace(/used_by:.*/s, ''),
        usual.replace(/used_by:.*/s, '')
      )
      t.match(usual, /pool: default/)
      t.match(await json('project', 'delete', 'figo-mario'), { remote: 'local', project: 'figo-mario' })
      t.equal((await lab('project', 'del', 'site2:tight')).code, 0)
      t.equal((await json<object[]>('project', 'list')).length, 2)
    }
  )

  t.test('operations of both remotes are shown while they run', async (t) => {
    // Incus still shows what has just ended.
    await eventually(async () => (await json<object[]>('operation', 'status')).length === 0)
    await two.run('launch', 'busybox', 'busy')
    const running = two.run('exec', 'busy', '--', 'sleep', '600').catch(() => {})
    const shown = await eventually(async () =>
      (await json<{ status: string }[]>('operation', 'status', 'site2:')).find(
        ({ status }) => status === 'Running'
      )
    )
    t.match(shown, { remote: 'site2', description: /command/, target: 'busy' })
    t.match(
      (await lab('op', 'progress')).stdout,
      /^REMOTE +DESCRIPTION(.*\n)+site2 +Executing command +busy +Running/
    )
    t.same(await json('operation', 'status', 'local:'), [])
    t.match((await lab('operation', 'status', 'site2:none')).stderr, /no project on remote site2 none/)
    const follow = lab('operation', 'status', '--follow')
    await two.run('stop', 'busy', '--force')
    await running
    t.equal((await follow).code, 0)
  })

  t.test('a remote that is away spoils no list, and fails the command that lacks it', async (t) => {
    await two.kill()
    const { code, stdout, stderr } = await lab('project', 'list', '--json')
    t.equal(code, 1)
    t.match(JSON.parse(stdout), [{ remote: 'local', name: 'default' }])
    t.match(stderr, /remote site2 is away: .*ECONNREFUSED.*start its incusd/)
    t.match((await lab('project', 'create', 'site2:p')).stderr, /remote site2 is away/)
    t.match(await json<Remote[]>('remote', 'list', '--full'), [
      { name: 'local', state: 'up' },
      { name: 'site2', state: 'away', reason: /ECONNREFUSED/ }
    ])
    await two.start()
    t.equal((await lab('project', 'list')).code, 0)
  })
})
