import t, { type Test } from 'tap'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { parseLogin, readLogin, slurmBackend } from '@interlink-ts/plugins/slurm'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, logOf, scriptPod, startSlurmPlugin, whenStatus } from './slurm-plugin.ts'
import { sshdMissing, startSshd, type Sshd } from '../support/sshd.ts'

const call = promisify(execFile)

t.test('a login is a user, a host and a port, and what is none is said so', async (t) => {
  t.same(parseLogin('me@login.hpc.example.org'), { user: 'me', host: 'login.hpc.example.org' })
  t.same(parseLogin('me@[2001:db8::1]:2222'), { user: 'me', host: '2001:db8::1', port: 2222 })
  t.same(parseLogin('leonardo'), { host: 'leonardo' })
  const wrong = [
    '',
    'me@',
    '@host',
    '-oProxyCommand=x',
    'a@-b',
    'a@b:0',
    'a@b:65536',
    'a b@c',
    'a@b;c',
    'a@b@c'
  ]
  for (const login of wrong) t.throws(() => parseLogin(login), /expected user@host/, login)
})

t.test('a host of ~/.ssh/config is understood as ssh does', async (t) => {
  if (!requireReal(t, sshdMissing())) return
  const config = `Host far\n  HostName login.example.org\n  User alice\n  Port 2222\n  ProxyJump gate\nHost gate\n  HostName 192.0.2.1\n  User bob\n`
  withHome(t, t.testdir({ '.ssh': { config } }))
  t.same(await readLogin('far'), {
    host: { host: 'login.example.org', user: 'alice', port: 2222 },
    found: { jump: { host: '192.0.2.1', user: 'bob', port: 22 } }
  })
  t.same((await readLogin('carol@far:22')).host, { host: 'login.example.org', user: 'carol', port: 22 })
})

t.test('a real login', async (t) => {
  if (!requireReal(t, slurmMissing() ?? sshdMissing())) return
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())
  const home = join(lab.dir, 'home')
  await mkdir(home)
  const env = { ...lab.env, HOME: home }
  const sshd = await startSshd(env)
  t.teardown(() => sshd.close())
  const { host, port, user } = sshd.options

  /** What `interlink up` hears before it registers a node. */
  const preflight = async (ssh: object): Promise<void> => {
    const context = { root: lab.dir, log: pino({ level: 'silent' }) }
    const backend = slurmBackend.create({ ssh }, context)
    await backend.preflight!().finally(() => backend.close!())
  }

  t.test('with keys where ssh has them nothing but the login is needed', async (t) => {
    withHome(t, await homeOf(t, sshd))
    await preflight({ host, port, user })
  })

  t.test('a key that is not among the authorized ones is refused in words', async (t) => {
    const keyFile = join(t.testdir(), 'other')
    await call('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
    await t.rejects(
      preflight({ ...sshd.options, keyFile }),
      /the login is refused with .*other\. Is \S+ the user there, and the key in its ~\/\.ssh\/authorized_keys\? Try: ssh -p/
    )
  })

  t.test('a user that is not there is refused in words', (t) =>
    t.rejects(
      preflight({ ...sshd.options, user: 'nobody-of-that-name' }),
      /Is nobody-of-that-name the user there/
    )
  )

  t.test('an encrypted key asks for an agent, and is used by it', async (t) => {
    const dir = t.testdir()
    const keyFile = join(dir, 'encrypted')
    await copyFile(sshd.options.keyFile, keyFile)
    await call('ssh-keygen', ['-q', '-p', '-N', 'secret', '-f', keyFile])
    withAgent(t, undefined)
    await t.rejects(
      preflight({ ...sshd.options, keyFile }),
      /encrypted is encrypted; load it into an agent: .*ssh-add/
    )
    const agent = await startAgent(t)
    await t.rejects(
      preflight({ ...sshd.options, keyFile: undefined, agent }),
      /holds no key; load one by ssh-add/
    )
    await call('ssh-add', ['-q', sshd.options.keyFile], { env: { ...process.env, SSH_AUTH_SOCK: agent } })
    await preflight({ ...sshd.options, keyFile: undefined, agent })
    withAgent(t, agent)
    await preflight({ ...sshd.options, keyFile })
    const passphraseFile = join(dir, 'passphrase')
    withAgent(t, undefined)
    await writeFile(passphraseFile, 'secret\n')
    await preflight({ ...sshd.options, keyFile, passphraseFile })
    await writeFile(passphraseFile, 'wrong\n')
    await t.rejects(preflight({ ...sshd.options, keyFile, passphraseFile }), /not opened by the passphrase/)
  })

  t.test('no key at all is said so', async (t) => {
    withHome(t, t.testdir({}))
    withAgent(t, undefined)
    await t.rejects(preflight({ host, port, user }), /there is no key: .*ssh-keygen -t ed25519.*ssh-copy-id/)
  })

  t.test('a host that is not there is told from one that does not listen', async (t) => {
    await t.rejects(preflight({ ...sshd.options, port: await freePort() }), /nothing listens on port \d+/)
    await t.rejects(
      preflight({ ...sshd.options, host: 'no-such-host.invalid' }),
      /the name no-such-host\.invalid is not known/
    )
  })

  t.test('of the keys of a host any that is known will do', async (t) => {
    const hostKey = join(sshd.dir, 'host_ecdsa')
    await call('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', hostKey])
    await writeFile(join(sshd.dir, 'sshd_config'), `HostKey ${hostKey}\n`, { flag: 'a' })
    await sshd.kill()
    await sshd.start()
    const knownHostsFile = join(t.testdir(), 'known_hosts')
    await writeFile(knownHostsFile, `[127.0.0.1]:${port} ${await readFile(`${hostKey}.pub`, 'utf8')}`)
    await preflight({ ...sshd.options, knownHostsFile })
  })

  t.test('a machine without Slurm names what it lacks', async (t) => {
    const bin = t.testdir()
    for (const program of ['sh', 'env', 'find', 'tar'])
      await symlink(`/usr/bin/${program}`, join(bin, program))
    const bare = await startSshd({ ...env, PATH: bin })
    t.teardown(() => bare.close())
    await t.rejects(
      preflight(bare.options),
      /lacks sbatch, squeue, scancel, sinfo, flock, base64 .*login node/
    )
  })

  t.test('what is wrong with Slurm is told in its own words', async (t) => {
    const conf = join(t.testdir({ 'slurm.conf': 'ClusterName=lab\nSlurmctldHots=login\n' }), 'slurm.conf')
    const away = await startSshd({ ...env, SLURM_CONF: conf })
    t.teardown(() => away.close())
    await t.rejects(preflight(away.options), /Slurm on .* does not answer: .*SlurmctldHots/)
  })

  t.test('a jump host is gone through, and named where it fails', async (t) => {
    const gate = await startSshd()
    t.teardown(() => gate.close())
    await copyFile(join(sshd.dir, 'authorized'), join(gate.dir, 'authorized'))
    const knownHostsFile = join(gate.dir, 'both')
    const known = await Promise.all([sshd, gate].map(({ dir }) => readFile(join(dir, 'known_hosts'), 'utf8')))
    await writeFile(knownHostsFile, known.join(''))
    const jump = { host: gate.options.host, port: gate.options.port, user }
    const through = { ...sshd.options, knownHostsFile, jump }
    const { client } = await startSlurmPlugin(t, lab, undefined, {
      ssh: { ...through, directory: '~/jobs dir' }
    })
    const pod = scriptPod('pwd; exit 3')
    await client.create(pod)
    t.equal((await whenStatus(client, pod, isOver)).containers[0]!.state!.terminated!.exitCode, 3)
    t.match(await logOf(client, pod), /^\//)
    await t.rejects(
      preflight({ ...through, port: await freePort() }),
      new RegExp(`:${jump.port}: the jump host does not reach 127`)
    )
    await gate.kill()
    await t.rejects(client.create(scriptPod('true')), {
      message: new RegExp(`:${jump.port}: nothing listens`)
    })
  })
})

/** A home with the key and the known hosts of an sshd, where ssh(1) has them. */
async function homeOf(t: Test, sshd: Sshd): Promise<string> {
  const home = t.testdir({ '.ssh': {} })
  await copyFile(sshd.options.keyFile, join(home, '.ssh/id_ed25519'))
  await copyFile(sshd.options.knownHostsFile, join(home, '.ssh/known_hosts'))
  return home
}

function withHome(t: Test, home: string): void {
  withVariable(t, 'HOME', home)
}

function withAgent(t: Test, socket: string | undefined): void {
  withVariable(t, 'SSH_AUTH_SOCK', socket)
}

/** For the rest of the test. */
function withVariable(t: Test, name: string, value: string | undefined): void {
  const before = process.env[name]
  const set = (to: string | undefined) => {
    if (to === undefined) delete process.env[name]
    else process.env[name] = to
  }
  set(value)
  t.teardown(() => set(before))
}

async function startAgent(t: Test): Promise<string> {
  const directory = temporaryDirectory('agent')
  const socket = join(directory.path, 'socket')
  const agent = spawnReaped('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
  t.teardown(() => {
    agent.kill('SIGKILL')
    return directory.remove()
  })
  await eventually(() =>
    call('ssh-add', ['-l'], { env: { ...process.env, SSH_AUTH_SOCK: socket } }).catch(
      (error: { code: number }) => error.code === 1
    )
  )
  return socket
}
