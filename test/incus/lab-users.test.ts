import t from 'tap'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import { requireReal } from '../support/require-real.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'
import { enrollSecond, refusalsOf, startTwoRemotes } from './lab-command.ts'

void t.test('interlink lab: users of two daemons, and routers', async (t) => {
  if (!requireReal(t, incusMissing() ?? sshdMissing())) return
  const remotes = await startTwoRemotes(t)
  const { one, two, lab, json, dir } = remotes
  await enrollSecond(remotes)
  const refusals = refusalsOf(remotes)
  const home = join(dir, 'lab')
  await mkdir(home)

  // The other side: a shell that writes down what it is told, and answers what stands in a file.
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const [told, answer, recorder] = ['told', 'answer', 'recorder'].map((name) => join(sshd.dir, name)) as [
    string,
    string,
    string
  ]
  await writeFile(recorder, `#!/bin/sh\nprintf '%s\\n' "$SSH_ORIGINAL_COMMAND" >>${told}\n. ${answer}\n`)
  await chmod(recorder, 0o755)
  await writeFile(answer, '')
  const key = await readFile(join(sshd.dir, 'authorized'), 'utf8')
  await writeFile(join(sshd.dir, 'authorized'), `command="${recorder}" ${key}`)
  const router = async (type: string, then = '') => {
    await writeFile(answer, then)
    await writeFile(told, '')
    const { host, port, user, keyFile, knownHostsFile } = sshd.options
    const hub = `{ type: ${type}, host: ${host}, port: ${port}, user: ${user}, keyFile: ${keyFile}, knownHostsFile: ${knownHostsFile} }`
    const server =
      'endpoint: vpn.example.org:13231, publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="'
    await writeFile(
      join(home, 'lab.yaml'),
      `vpn: { ${server}, network: 10.202.1.0/24, first: 10.202.1.15, dns: [10.202.1.1], hub: ${hub} }\n`
    )
  }
  const heard = async () => (await readFile(told, 'utf8')).trim()

  t.test('a user has a certificate that opens its own project alone, on each remote', async (t) => {
    await router('linux')
    const added = await lab(
      'user',
      'add',
      'mario',
      '--remotes',
      'all',
      '-w',
      '-k',
      '-e',
      'm@example.org',
      '-n',
      'Mario R'
    )
    t.equal(added.code, 0, added.stderr)
    t.match(
      added.stdout,
      /^user mario may use project figo-mario of local, site2\naddress in the VPN: 10\.202\.1\.15\n/
    )
    const place = join(home, 'users/mario')
    t.same((await readdir(place)).sort(), [
      ...['client.crt', 'client.key', 'client.pfx', 'client.pfx.password', 'id_ed25519', 'id_ed25519.pub'],
      ...['wireguard.conf', 'wireguard.pub']
    ])
    for (const file of await readdir(place)) {
      const { mode } = await stat(join(place, file))
      t.equal(mode & 0o777, 0o600, file)
      if (/crt|pub/.test(file)) continue
      const secret = (await readFile(join(place, file), 'utf8'))
        .split('\n')
        .find((line) => /^[\w+/=-]{16,}$/.test(line))
      if (secret !== undefined)
        t.notOk((added.stdout + added.stderr).includes(secret), `${file} is not printed`)
    }
    t.equal((await stat(place)).mode & 0o777, 0o700)
    t.equal((await stat(join(home, 'users/mario.tar.gz'))).mode & 0o777, 0o600)

    const [cert, keyFile] = [join(place, 'client.crt'), join(place, 'client.key')]
    const curl = (path: string) =>
      execFileSync('curl', ['-sk', '--cert', cert, '--key', keyFile, `${two.url}${path}`], {
        encoding: 'utf8'
      })
    t.match(JSON.parse(curl('/1.0')), { metadata: { auth: 'trusted' } })
    t.match(JSON.parse(curl('/1.0/instances?project=figo-mario')), { status: 'Success', metadata: [] })
    t.match(JSON.parse(curl('/1.0/instances')), { type: 'error', error: /permission/ })
    const pfx = [
      'pkcs12',
      '-in',
      join(place, 'client.pfx'),
      '-nokeys',
      '-passin',
      `file:${place}/client.pfx.password`
    ]
    t.match(execFileSync('openssl', pfx, { encoding: 'utf8' }), /BEGIN CERTIFICATE/)
    const wanted = execFileSync('ssh-keygen', ['-y', '-f', join(place, 'id_ed25519')], { encoding: 'utf8' })
    t.match(await readFile(join(place, 'id_ed25519.pub'), 'utf8'), wanted.split(' ').slice(0, 2).join(' '))
    t.match(
      await readFile(join(place, 'wireguard.conf'), 'utf8'),
      /^\[Interface\]\nPrivateKey = \S{43}=\nAddress = 10\.202\.1\.15\/32\nDNS = 10\.202\.1\.1\n\n\[Peer\]\nPublicKey = A+=\nEndpoint = vpn\.example\.org:13231\nAllowedIPs = 10\.192\.0\.0\/10\n/
    )
    t.match(await json('user', 'list'), [
      {
        remote: 'local',
        name: 'mario',
        admin: false,
        projects: ['figo-mario'],
        email: 'm@example.org',
        fullName: 'Mario R'
      },
      { remote: 'site2', name: 'main', admin: true },
      { remote: 'site2', name: 'mario', projects: ['figo-mario'] }
    ])
    t.equal(await heard(), '', 'the hub is told only where that was asked')
  })

  t.test('what is wrong with a user is said, and nothing of it is left', async (t) => {
    await writeFile(join(dir, 'nonsense.pem'), 'nonsense')
    await refusals(t, 'user', [
      [['add', 'mario'], /user mario on remote local is there already; interlink lab user delete mario/],
      [['add', '../mario'], /user: "\.\.\/mario" is none: at most 48 letters/],
      [['add', 'a;reboot'], /user: "a;reboot" is none/],
      [['add', 'lia', '-p', 'nowhere'], /no project on remote local nowhere; there are default, figo-mario/],
      [['add', 'lia', '-a', '-p', 'default'], /--admin may use every project/],
      [['add', 'lia', '-n', 'a,b'], /--name: "a,b" holds a comma/],
      [['add', 'lia', '-c', join(dir, 'nonsense.pem')], /--cert: it is no certificate: expected PEM/],
      [['add', 'lia', '-w', '-i', '10.202.1.15'], /address 10\.202\.1\.15 is there already; a user has it/],
      [['add', 'lia', '--remotes', 'nowhere'], /no remote nowhere/],
      [['grant', 'nobody', 'default'], /no user on remote local nobody; there are mario/],
      [['grant', 'mario', 'nowhere'], /no project on remote local nowhere/],
      [['revoke', 'mario', 'default'], /no project of user mario default; it has figo-mario/],
      [['grant', 'main', 'site2:default'], /user main on remote site2 is an administrator/],
      [['edit', 'mario'], /say what changes: --email, --name or --org/],
      [['delete', 'nobody'], /no user nobody; interlink lab user list/]
    ])
    await router('linux', 'echo "wg: not found" >&2; exit 127')
    const half = await lab('user', 'add', 'lia', '-s')
    t.equal(half.code, 1)
    t.match(half.stderr, /router \S+@127\.0\.0\.1:\d+: wg: not found/)
    t.same(await readdir(join(home, 'users')), ['mario', 'mario.tar.gz'])
    t.notMatch(await one.run('config', 'trust', 'list', '-f', 'csv'), /lia/)
    t.notMatch(await one.run('project', 'list', '-f', 'csv'), /lia/)
  })

  t.test('a user is granted projects and loses them, and is described', async (t) => {
    await one.run('project', 'create', 'shared')
    t.match(await json('user', 'grant', 'mario', 'shared'), [{ projects: ['figo-mario', 'shared'] }])
    const revoked = await lab('user', 'revoke', 'mario', 'local:shared')
    t.equal(revoked.stdout, 'user mario may use figo-mario of local\n', revoked.stderr)
    t.match(await json('user', 'edit', 'mario', '-o', 'CNIT'), [
      { email: 'm@example.org', organisation: 'CNIT' }
    ])
    t.match(
      (await lab('user', 'list', '--remotes', 'local', '-f')).stdout,
      /mario +figo-mario +\d{4}-\d\d-\d\d +Mario R +m@example\.org +CNIT/
    )
  })

  t.test(
    'an administrator, one with a certificate of its own, and one whom the hub is told of',
    async (t) => {
      await router('mikrotik')
      t.match(await json('user', 'add', 'root2', '--admin'), { user: 'root2', remotes: ['local'] })
      const cert = join(home, 'users/root2/client.crt')
      t.equal((await lab('user', 'delete', 'root2', '-k')).code, 0)
      t.ok(existsSync(cert), 'files are kept where that was asked')
      const own = await json<{ files: string[] }>('user', 'add', 'lia', '-c', cert, '-p', 'shared', '-s')
      t.same(own.files, ['client.crt', 'wireguard.conf', 'wireguard.pub'])
      const publicKey = (await readFile(join(home, 'users/lia/wireguard.pub'), 'utf8')).trim()
      t.equal(
        await heard(),
        `/interface wireguard peers add interface=wg0 public-key="${publicKey}" allowed-address=10.202.1.16/32 comment="lia"`
      )
      await router('linux')
      t.equal((await lab('user', 'delete', 'lia')).code, 0)
      t.equal(
        await heard(),
        `${sshd.options.user === 'root' ? '' : 'sudo -n '}wg set wg0 peer ${publicKey} remove`
      )
      t.notOk(existsSync(join(home, 'users/lia')))
    }
  )

  t.test('a user that goes is trusted by no remote; one that is away is named', async (t) => {
    await two.kill()
    const away = await lab('user', 'delete', 'mario', '-n')
    t.equal(away.code, 1)
    t.match(away.stderr, /site2 may trust user mario still; give the command again/)
    t.ok(existsSync(join(home, 'users/mario')))
    await two.start()
    t.match(await json('user', 'delete', 'mario', '--purge', '-n'), {
      remotes: ['site2'],
      filesRemoved: true,
      projectsRemoved: ['local:figo-mario', 'site2:figo-mario']
    })
    t.notOk(existsSync(join(home, 'users/mario.tar.gz')))
    t.match(await two.run('config', 'trust', 'list', '-f', 'csv'), /^main,[^\n]*\n$/)
  })

  t.test(
    'a route is shown, and told to a router of either kind, in words that nobody else chose',
    async (t) => {
      const { host, port, keyFile, knownHostsFile, user } = sshd.options
      const by = ['--key-file', keyFile, '--known-hosts', knownHostsFile]
      const figo = [
        '10.202.9.0/24',
        'via',
        '10.202.1.1',
        'type',
        'linux',
        'host',
        host,
        '-p',
        String(port),
        '-u',
        user
      ]
      await router('linux')
      const dry = await lab('vpn', 'add', 'route', ...figo, ...by, '-d', 'wg0', '--dry-run')
      const said = `${user === 'root' ? '' : 'sudo -n '}ip route add 10.202.9.0/24 via 10.202.1.1 dev wg0`
      t.equal(dry.stdout, `${user}@${host}:${port} would be told: ${said}\n`, dry.stderr)
      t.equal(await heard(), '')
      t.equal((await lab('vpn', 'add', 'route', ...figo, ...by, '-d', 'wg0')).code, 0)
      t.equal(await heard(), said)
      await router('mikrotik')
      t.match(await json('vpn', 'route', 'add', '10.1.0.0/16', '--via', '10.202.1.1'), {
        command: '/ip route add dst-address=10.1.0.0/16 gateway=10.202.1.1',
        done: true
      })
      t.equal(await heard(), '/ip route add dst-address=10.1.0.0/16 gateway=10.202.1.1')
      await router('mikrotik', 'echo "failure: already have such route"')
      await refusals(t, 'vpn', [
        [
          ['route', 'add', '10.1.0.0/16', '--via', '10.2.0.1'],
          /router \S+: failure: already have such route/
        ],
        [
          ['route', 'add', '10.1.0.1/16', '--via', '10.2.0.1'],
          /destination: "10\.1\.0\.1\/16" is none: expected a network; .* 10\.1\.0\.0\/16/
        ],
        [['route', 'add', '10.1.0.0/16;reboot', '--via', '10.2.0.1'], /destination: .* is none/],
        [
          ['route', 'add', '10.1.0.0/16', '--via', '$(reboot)'],
          /via: "\$\(reboot\)" is none: expected an IPv4 address/
        ],
        [
          ['route', 'add', '10.1.0.0/16', '--via', '10.2.0.1', '-d', 'wg0 ; reboot'],
          /--dev: "wg0 ; reboot" is no interface/
        ],
        [['route', 'add', '10.1.0.0/16'], /say by which gateway/],
        [
          ['route', 'add', '10.1.0.0/16', 'by', '10.2.0.1'],
          /"by" is not understood; expected DESTINATION via/
        ],
        [
          ['route', 'add', '10.1.0.0/16', '--via', '10.2.0.1', '--type', 'cisco'],
          /"cisco" is neither linux nor mikrotik/
        ],
        [
          ['route', 'add', '10.1.0.0/16', '--via', '10.2.0.1', '--known-hosts', '/dev/null'],
          /router \S+: its key SHA256:\S+ is not in \/dev\/null/
        ]
      ])
      await sshd.kill()
      await refusals(t, 'vpn', [
        [['route', 'add', '10.1.0.0/16', '--via', '10.2.0.1'], /router \S+: nothing listens on port/]
      ])
    }
  )
})
