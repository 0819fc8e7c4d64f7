import t from 'tap'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import { requireReal } from '../support/require-real.ts'
import { startCardLab } from './fake-cards.ts'
import { enrollSecond, refusalsOf, startTwoRemotes } from './lab-command.ts'

const [first, second] = ['0000:3b:00.0', '0000:86:00.0'] as const

void t.test('interlink lab: profiles and graphics cards of two daemons', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const remotes = await startTwoRemotes(t, () => startCardLab(t))
  const { one, two, lab, json, dir } = remotes
  await enrollSecond(remotes)
  const refusals = refusalsOf(remotes)
  const [card1, card2] = [first, second].map((pci) => `gpu-cnt-${pci.replaceAll(/[:.]/g, '-')}`)

  t.test('the usual profiles are made, with two for each card, and what is there is kept', async (t) => {
    const { made } = await json<{ made: string[] }>('profile', 'init', 'local')
    t.strictSame(made, [
      ...['compute-small', 'compute-medium', 'compute-large', 'ssh-deploy', 'disk-64GB', 'disk-128GB'],
      ...[first, second].flatMap((pci) =>
        ['cnt', 'vm'].map((k) => `gpu-${k}-${pci.replaceAll(/[:.]/g, '-')}`)
      )
    ])
    t.match(await json('profile', 'init'), { made: [], kept: { length: 10 } })
    const copied = await lab('profile', 'init', 'site2', '--from', 'local', '-f', 'compute-small,disk-64GB')
    t.equal(copied.stdout, 'site2:default.compute-small made\nsite2:default.disk-64GB made\n', copied.stderr)
    const shown = await lab('profile', 'show', 'site2:default.compute-small')
    t.match(shown.stdout, /^name: compute-small\n[^]*limits\.cpu: "2"/)
  })

  t.test('profiles are listed, copied, written into files and deleted', async (t) => {
    const list = await json<{ remote: string; name: string }[]>('profile', 'list')
    t.ok(list.some(({ remote, name }) => remote === 'site2' && name === 'compute-small'))
    t.match(
      (await lab('p', 'l', 'site2:')).stdout,
      /^REMOTE +PROJECT +PROFILE +DESCRIPTION +USED\nsite2 +default +/
    )
    t.match(await json('profile', 'copy', 'local:default.compute-large', 'site2:'), {
      remote: 'site2',
      name: 'compute-large'
    })
    t.match(await json('profile', 'copy', 'compute-large', 'site2:default.huge'), { name: 'huge' })
    await two.run('project', 'create', 'shares', '-c', 'features.profiles=false')
    await two.run('init', 'busybox', 'has', '--profile', 'default', '--profile', 'huge')
    const dumped = await json<{ files: string[] }>('profile', 'dump', 'site2:huge', '-d', join(dir, 'dump'))
    t.match(await readFile(dumped.files[0]!, 'utf8'), /^name: huge\n[^]*limits\.memory: 64GiB/)
    const all = await lab('profile', 'dump', '--all', 'site2:')
    t.match(all.stdout, /^profiles\/compute-large\.yaml\n/)
    t.match((await lab('profile', 'list', 'site2:', '--recurse-instances')).stdout, /huge .*default\.has/)
    await refusals(t, 'profile', [
      [['show', 'none'], /no profile in local:default none; there are compute-large/],
      [
        ['copy', 'compute-small', 'site2:'],
        /profile site2:default\.compute-small is there already; name the copy otherwise/
      ],
      [
        ['copy', 'compute-medium', 'site2:shares.x'],
        /project site2:shares shares the profiles of the project default; copy it to site2:default\./
      ],
      [['copy', card1!, 'nowhere:'], /no remote nowhere/],
      [['init', 'local', '-f', 'wings'], /no usual profile wings; there are compute-small/],
      [['delete', 'site2:huge'], /profile site2:default\.huge is had by has; delete those/],
      [['dump'], /name a profile, or give --all/],
      [['show', '../../etc/passwd'], /profile: "\/etc\/passwd" is none/]
    ])
    await two.run('delete', 'has')
    t.match(await json('profile', 'delete', 'site2:huge'), {
      remote: 'site2',
      project: 'default',
      name: 'huge'
    })
  })

  t.test('cards are counted and shown by address, with who has them', async (t) => {
    t.match(await json('gpu', 'status', 'local'), [
      {
        remote: 'local',
        total: 2,
        active: 0,
        available: 2,
        cards: [{ pci: first, model: /A100/ }, { pci: second }]
      }
    ])
    t.equal(
      (await lab('g', 'status')).stdout,
      'REMOTE  TOTAL  ACTIVE  AVAILABLE\nlocal   2      0       2\nsite2   0      0       0\n'
    )
    t.match(await json('gpu', 'pci_addr', 'local'), [
      { pci: first, profiles: [card1, /^gpu-vm/] },
      { pci: second }
    ])
    t.match(
      (await lab('gpu', 'profiles', 'local')).stdout,
      new RegExp(`local +default +${card1} +${first} +there`)
    )
    await refusals(t, 'gpu', [
      [['status', 'none'], /no remote none/],
      [['profiles', 'local:none'], /no project on remote local none; there are default/]
    ])
  })

  t.test('an instance is given the next card that it has not, by a profile or by its address', async (t) => {
    for (const name of ['a', 'b']) await one.run('init', 'busybox', name)
    await two.run('init', 'busybox', 'far')
    t.match(await json('gpu', 'add', 'a'), {
      instance: 'local:default.a',
      wishes: [{ by: 'profile', name: card1, pci: first }]
    })
    t.match(await json('gpu', 'add', 'b'), { wishes: [{ by: 'profile', name: card1 }] }, 'as FIGO does')
    t.match(await json('gpu', 'add', 'b', '--pci', second), {
      changed: [{ by: 'profile', name: card2, pci: second }]
    })
    await refusals(t, 'gpu', [
      [['add', 'b'], /local:default\.b: it is to have 2 cards already, and remote local has 2/],
      [['add', 'a', '--pci', first], /it has the card 0000:3b:00\.0 already, by profile/],
      [
        ['add', 'a', '--pci', '0000:99:00.0'],
        /no card on remote local at 0000:99:00\.0; there are 0000:3b:00\.0, 0000:86:00\.0/
      ],
      [['add', 'a', '--pci', '$(reboot)'], /pci: "\$\(reboot\)" is no PCI address: expected one such as/],
      [
        ['add', 'a', '--gpu-profile', 'compute-small'],
        /no GPU profile in local:default compute-small; there are gpu-cnt/
      ],
      [['add', 'site2:far'], /it is to have 0 cards already, and remote site2 has 0/],
      [['add', 'none'], /no instance local:default\.none/],
      [['remove', 'site2:far'], /site2:default\.far: it is to have no card; interlink lab gpu list/]
    ])
    t.match(await json('gpu', 'list'), [
      { instance: 'a', wishes: [{ name: card1 }] },
      { instance: 'b', wishes: [{ name: card1 }, { name: card2 }] }
    ])
    t.match(await json('gpu', 'remove', 'b'), { changed: [{ name: card2 }], wishes: [{ name: card1 }] })
  })

  t.test('which card an instance has is decided at its start: one that is in use is exchanged', async (t) => {
    t.match(await json('instance', 'start', 'a'), { cards: [first], exchanged: [] })
    const started = await lab('instance', 'start', 'b')
    t.equal(
      started.stdout,
      `local:default.b: ${card1} is in use; ${card2} instead\nlocal:default.b started with ${second}\n`,
      started.stderr
    )
    const nodes = await one.run('exec', 'b', '--', 'ls', '/dev/dri')
    t.match(nodes, /card1/)
    t.notMatch(nodes, /card0/)
    t.match(await json('gpu', 'status', 'local'), [
      { active: 2, available: 0, cards: [{ holders: ['default.a'] }, { holders: ['default.b'] }] }
    ])
    await one.run('init', 'busybox', 'c')
    await lab('gpu', 'add', 'c')
    const none = await lab('instance', 'start', 'c')
    t.equal(none.code, 1)
    t.match(
      none.stderr,
      /local:default\.c: it wants 1 of the 2 cards, of which 0 are free \(0000:3b:00\.0 is of default\.a, .*default\.b\); stop one/
    )
    t.match(await one.run('config', 'get', 'c', 'user.interlink.gpu-claim'), /^\n?$/, 'no claim is left')
    await refusals(t, 'gpu', [
      [['add', 'a'], /local:default\.a is running; stop it first/],
      [['remove', 'a'], /is running; stop it first/]
    ])
    await lab('instance', 'stop', 'a', '--force')
    t.match(await json('instance', 'start', 'c'), { cards: [first] }, 'given back by stopping')
  })

  t.test('of several that start at once with one card left, one has it', async (t) => {
    await lab('instance', 'stop', 'c', '--force')
    for (const name of ['x', 'y', 'z']) {
      await one.run('init', 'busybox', name)
      await one.run('config', 'device', 'add', name, 'gpu0', 'gpu', 'gputype=physical', `pci=${second}`)
    }
    const all = await Promise.all(['x', 'y', 'z'].map((name) => lab('instance', 'start', name, '--json')))
    const [won, ...more] = all.filter(({ code }) => code === 0)
    t.same(more, [])
    t.match(JSON.parse(won!.stdout), { cards: [first], exchanged: [{ from: second, to: first }] })
    t.ok(
      all
        .filter(({ code }) => code === 1)
        .every(({ stderr }) => /of which 0 are free|others are starting/.test(stderr))
    )
    t.match(await json('gpu', 'status', 'local'), [
      { active: 2, cards: [{ holders: { length: 1 } }, { holders: ['default.b'] }] }
    ])
    // One that loses at the last moment had been given the address of the free card.
    const lost = ['x', 'y', 'z'].filter((_, index) => all[index]!.code !== 0)
    for (const name of lost)
      t.equal((await one.run('config', 'device', 'get', name, 'gpu0', 'pci')).trim(), second, name)
    const removed = await lab('gpu', 'remove', lost[0]!, '--all')
    t.match(removed.stdout, /device gpu0 \(0000:86:00\.0\) removed/)
  })
})
