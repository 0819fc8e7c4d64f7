import t from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import { requireReal } from '../support/require-real.ts'
import { enrollSecond, refusalsOf, startClosed, startTwoRemotes } from './lab-command.ts'

void t.test('interlink lab: addresses, keys and shells of instances', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const remotes = await startTwoRemotes(t, () => startClosed(t, { network: true }))
  const { one, two, lab, labWith, json, dir } = remotes
  await enrollSecond(remotes)
  const refusals = refusalsOf(remotes)
  await one.run('init', 'busybox', 'one')
  await two.run(
    'project',
    'create',
    'figo-mario',
    '-c',
    'features.profiles=false',
    '-c',
    'features.images=false'
  )
  await two.run('init', 'busybox', 'train', '--project', 'figo-mario')
  execFileSync('ssh-keygen', [
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-C',
    'me: "a" $(reboot)',
    '-f',
    join(dir, 'id')
  ])

  t.test('an address is one that nobody has, of the network of its card', async (t) => {
    const bridge = JSON.parse(await one.run('query', '/1.0/profiles/default')).devices.eth0.network as string
    const [gateway] = (await one.run('network', 'get', bridge, 'ipv4.address')).trim().split('/')
    const within = (last: number) => gateway!.replace(/\d+$/, String(last))
    t.match(await json('instance', 'set_ip', 'one'), { address: `${within(2)}/24`, gateway, nic: 'eth0' })
    t.match(await json('instance', 'create', 'at9', 'busybox', '-i', `${within(9)}/24`), {
      address: `${within(9)}/24`
    })
    t.match(await json('instance', 'create', 'next', 'busybox', '-s'), { address: `${within(10)}/24` })
    t.match(await json('instance', 'create', 'hole', 'busybox', '--hole'), { address: `${within(3)}/24` })
    const { config, devices } = JSON.parse(await one.run('query', '/1.0/instances/at9'))
    t.match(config['cloud-init.network-config'], new RegExp(`via: ${gateway}`))
    t.equal(devices.eth0['ipv4.address'], within(9))
    await refusals(t, 'instance', [
      [
        ['set-ip', 'at9', '-i', `${within(10)}/24`],
        new RegExp(`address ${within(10)} is there already; it is of default\\.next`)
      ],
      [['set-ip', 'at9', '-i', `${gateway}/24`], /it is of the gateway of eth0/],
      [['set-ip', 'at9', '-i', '192.0.2.1/24'], /192\.0\.2\.1\/24 is not of the network/],
      [['set-ip', 'at9', '-i', '10.0.0.256/24'], /--ip: "10\.0\.0\.256\/24" is none: expected an IPv4/],
      [['set-ip', 'at9', '-n', '$(reboot)'], /--nic: "\$\(reboot\)" is no network card/],
      [
        ['set-ip', 'site2:figo-mario.train'],
        /--gw: the network of eth0 on remote site2 is not known; .*lab\.yaml/
      ]
    ])
    await lab('instance', 'start', 'at9')
    await refusals(t, 'instance', [
      [['set-ip', 'at9'], /at9 is running; stop it first/],
      [['ip', 'one'], /local:default\.one is stopped and has no address; interlink lab instance start/]
    ])
    // The image asks for no address by itself.
    await one.run('exec', 'at9', '--', 'ip', 'address', 'add', `${within(9)}/24`, 'dev', 'eth0')
    t.match(await json('instance', 'ip', 'at9', '--wait-for', '60'), { addresses: [within(9)] })
    t.equal((await lab('instance', 'ip', 'at9')).stdout, `${within(9)}\n`)
    t.match(
      (await lab('instance', 'list', 'local:at9', '--full')).stdout,
      new RegExp(`Running +${within(9)} `)
    )
    await mkdir(join(dir, 'lab'))
    const site = 'remotes:\n  site2: { gateway: 10.9.9.1, prefix: 24, first: 10.9.9.50 }\n'
    await writeFile(join(dir, 'lab/lab.yaml'), site)
    t.match(await json('instance', 'set-ip', 'site2:figo-mario.train'), {
      address: '10.9.9.50/24',
      gateway: '10.9.9.1'
    })
  })

  t.test('a key lets an account in, by files alone, whether or not the instance runs', async (t) => {
    const file = join(dir, 'id.pub')
    const added = await lab('instance', 'set_key', 'one', file, '-l', 'root')
    t.equal(added.code, 0, added.stderr)
    t.match(added.stdout, /local:default\.one: root is let in by SHA256:/)
    t.equal((await lab('instance', 'set-key', 'at9', file, '-l', 'root')).code, 0)
    t.match((await lab('instance', 'set-key', 'one', file, '-l', 'root')).stdout, /root has the key already/)
    t.match(await json('instance', 'keys', 'one', '-l', 'root'), [
      { type: 'ssh-ed25519', fingerprint: /^SHA256:/, comment: 'me: "a" $(reboot)' }
    ])
    t.match(
      (await lab('instance', 'show_keys', 'one', '-l', 'root')).stdout,
      /^TYPE +FINGERPRINT +COMMENT\nssh-ed25519/
    )
    t.match((await lab('instance', 'keys', 'one', '-l', 'root', '--keys')).stdout, /^ssh-ed25519 AAAA\S+ me/)
    const modes = await one.run(
      'exec',
      'at9',
      '--',
      'stat',
      '-c',
      '%a %u',
      '/root/.ssh',
      '/root/.ssh/authorized_keys'
    )
    t.equal(modes, '700 0\n600 0\n')
    await writeFile(join(dir, 'evil.pub'), 'command="reboot" ssh-ed25519 AAAA\n')
    await refusals(t, 'instance', [
      [
        ['set-key', 'one', file],
        /no account in local:default\.one ubuntu; there are root; name one by --login/
      ],
      [['set-key', 'one'], /name the file of a public key/],
      [['set-key', 'one', join(dir, 'id'), '-l', 'root'], /it is a private key/],
      [['set-key', 'one', join(dir, 'evil.pub'), '-l', 'root'], /it is no public key of SSH/],
      [['keys', 'none', '-l', 'root'], /no instance local:default\.none/]
    ])
  })

  t.test('a shell takes its commands, and ends with their status', async (t) => {
    const piped = await labWith('echo "home is $HOME"; echo wrong >&2; exit 7\n', 'instance', 'bash', 'at9')
    t.same([piped.code, piped.stdout], [7, 'home is /root\n'])
    t.match(piped.stderr, /^wrong$/m)
    const argument = await lab('instance', 'b', 'at9', '--', 'printf', '%s|', '$(reboot)', 'a b')
    t.same([argument.code, argument.stdout], [0, '$(reboot)|a b|'], argument.stderr)
    await refusals(t, 'instance', [
      [['bash', 'one'], /local:default\.one is stopped; start it first, or give --force/],
      [['bash', 'at9', '--', '/no/such'], /remote local refuses: Command not found/]
    ])
    const forced = await lab('instance', 'bash', 'one', '--force', '--', 'hostname')
    t.equal(forced.code, 0, forced.stderr)
  })

  t.test('on a terminal a shell has one too, as large as this one', async (t) => {
    const bin = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))
    const command = `stty rows 40 cols 100; ${process.execPath} ${bin} lab instance bash at9; echo "status $?"`
    const said = execFileSync('script', ['-qec', command, '/dev/null'], {
      env: remotes.env,
      cwd: dir,
      input: 'tty; stty size; echo "code $((40+2))"; exit 5\n',
      encoding: 'utf8',
      timeout: 180_000
    })
    t.match(said, /\/dev\/pts\/\d+\r+\n40 100\r+\ncode 42/)
    t.match(said, /status 5/)
  })

  t.test('a remote that is away fails what is asked of it, and spoils no list', async (t) => {
    await two.kill()
    const { code, stdout, stderr } = await lab('instance', 'list', '--json')
    t.equal(code, 1)
    t.match(JSON.parse(stdout) as object[], [{ remote: 'local' }])
    t.match(stderr, /remote site2 is away: .*ECONNREFUSED/)
    await refusals(t, 'instance', [
      [['start', 'site2:figo-mario.train'], /remote site2 is away: .*remote list shows its address/]
    ])
    await two.start()
  })
})
