/** A private HTCondor pool: its own ports, directories and tokens; nothing of the machine's is touched. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ChildProcess } from 'node:child_process'
import { eventually } from '../support/eventually.ts'
import { freePorts } from '../support/free-port.ts'
import { runAtEnd, signalGroup, spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import {
  DAEMON,
  DOMAIN,
  htcondorConfiguration,
  OWNER,
  scheddName,
  type LabPlace,
  type LabShape
} from './lab-configuration.ts'
import { account, apart, besideUs, configOf, endOf, idsOf } from './lab-daemons.ts'
import { findProgram, htcondorMissing, pathOf, placesOf } from './lab-programs.ts'

const call = promisify(execFile)

export type Daemon = 'collector' | 'negotiator' | 'schedd' | `n${number}`

export interface HtcondorLab {
  readonly dir: string
  /** For clients, and for whoever starts them: CONDOR_CONFIG, and a PATH that has them. */
  readonly env: { readonly PATH: string; readonly CONDOR_CONFIG: string }
  /** Start daemons; of each the name, which its slots have. */
  readonly nodes: readonly string[]
  /** For the HTCondor backend: how it reaches this pool. */
  readonly options: {
    readonly config: string
    readonly bin?: string
    readonly schedd?: string
    readonly pool?: string
  }
  /** Runs a client of HTCondor to its end; resolves with what it printed. */
  run(program: string, ...args: string[]): Promise<string>
  /** SIGKILL, as a crash would; starters and shadows are left to themselves. */
  kill(daemon: Daemon): Promise<void>
  /** SIGQUIT: a fast shutdown. */
  stop(daemon: Daemon): Promise<void>
  /** Starts what was killed; resolves when it answers. */
  start(daemon: Daemon): Promise<void>
  /** SIGSTOP and SIGCONT: it is there, but says nothing. */
  pause(daemon: Daemon): void
  resume(daemon: Daemon): void
  /** Ends jobs and daemons at once, and removes the directory. */
  close(): Promise<void>
}

/** Brings up collector, negotiator, schedd and the start daemons; resolves when every slot is offered. */
export async function startHtcondorLab(shape: Partial<LabShape> = {}): Promise<HtcondorLab> {
  const full: LabShape = {
    prefix: undefined,
    nodes: 2,
    cpus: 8,
    memoryMiB: 16_000,
    gpus: 4,
    devices: { fpgas: ['fpga0', 'fpga1'] },
    sharedFileSystem: true,
    remoteSchedd: false,
    users: [],
    extra: [],
    ...shape
  }
  const missing = htcondorMissing(full.prefix)
  if (missing !== undefined) throw new Error(missing)
  if (full.users.length > 0 && (!full.sharedFileSystem || process.getuid?.() !== 0))
    throw new Error('jobs of several accounts take root, and a shared file system')
  const directory = temporaryDirectory('htcondor')
  const dir = directory.path
  const nodes = Array.from({ length: full.nodes }, (_, index) => `n${index + 1}`)
  const daemons = ['collector', 'negotiator', 'schedd', ...nodes] as Daemon[]
  // A daemon that comes back is where it was: a shadow looks for its start daemon nowhere else.
  const ports = await freePorts(daemons.length)
  const portOf = (daemon: Daemon): number => ports[daemons.indexOf(daemon)]!
  const place: LabPlace = { dir, places: placesOf(full.prefix), port: portOf('collector'), ids: idsOf() }
  const env = { PATH: pathOf(full.prefix), CONDOR_CONFIG: configOf(dir, 'client') }
  await writeFile(join(dir, 'end.sh'), endOf(dir))
  runAtEnd(join(dir, 'end.sh'))

  const running = new Map<Daemon, ChildProcess>()
  const run = async (program: string, ...args: string[]): Promise<string> =>
    (await call(program, args, { env, timeout: 120_000, maxBuffer: 1 << 26 })).stdout
  const answers = async (daemon: Daemon): Promise<boolean> => {
    if (daemon === 'schedd') return (await queue('condor_q', '-af', 'ClusterId')) !== undefined
    if (daemon === 'negotiator') return (await run('condor_status', '-negotiator', '-af', 'Name')) !== ''
    if (daemon === 'collector') return (await run('condor_status', '-af', 'Name')) !== undefined
    return (await offered()).includes(daemon)
  }
  const queue = (program: string, ...args: string[]): Promise<string> =>
    run(program, ...(full.remoteSchedd ? ['-name', scheddName, ...args] : args))
  // Schedd and negotiator that meet first when there are jobs wait 20 s for each other's half of the handshake.
  const introduce = async (): Promise<void> => {
    // A schedd that has much to take up again answers nobody for a while.
    await eventually(() => queue('condor_reschedule').then(() => true), { deadlineMs: 120_000, everyMs: 100 })
  }
  const offered = async (): Promise<string[]> =>
    (await run('condor_status', '-constraint', 'PartitionableSlot', '-af', 'Name'))
      .split('\n')
      .filter((name) => name !== '')
      .map((name) => name.split(/[@.]/)[1]!)
  const spawnDaemon = (daemon: Daemon): void => {
    const role = daemon === 'collector' || daemon === 'negotiator' ? 'central' : daemon
    const name = nodes.includes(daemon) ? 'startd' : daemon
    const argv = [findProgram(`condor_${name}`, full.prefix)!, '-f', '-p', String(portOf(daemon))] as const
    const [program, ...args] =
      name === 'startd' && !full.sharedFileSystem ? apart(join(dir, role), argv) : besideUs(argv, full)
    const child = spawnReaped(program, args, {
      env: { ...env, CONDOR_CONFIG: configOf(dir, role) },
      cwd: join(dir, role),
      stdio: 'ignore'
    })
    child.once('error', () => {})
    running.set(daemon, child)
  }
  const end = async (daemon: Daemon, how: NodeJS.Signals): Promise<void> => {
    const child = running.get(daemon)
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(how)
    await gone
  }
  const signal = (daemon: Daemon, name: NodeJS.Signals): void => {
    const child = running.get(daemon)
    if (child) signalGroup(child, name)
  }
  const close = async (): Promise<void> => {
    for (const daemon of [...running.keys()]) signal(daemon, 'SIGKILL')
    await call('sh', [join(dir, 'end.sh')]).catch(() => {})
    await directory.remove()
  }
  try {
    await prepare(full, place, nodes)
    for (const daemon of daemons) spawnDaemon(daemon)
    const deadline = { deadlineMs: 120_000, everyMs: 100 }
    await eventually(async () => (await offered()).length === nodes.length, deadline)
    for (const daemon of ['negotiator', 'schedd'] as const) await eventually(() => answers(daemon), deadline)
    await introduce()
  } catch (error) {
    const logs = await lastWords(dir, ['central', 'schedd', ...nodes])
    await close()
    throw new Error(`HTCondor did not come up:\n${logs}`, { cause: error })
  }
  return {
    dir,
    env,
    nodes,
    options: {
      config: env.CONDOR_CONFIG,
      ...(full.prefix === undefined ? {} : { bin: join(full.prefix, 'bin') }),
      ...(full.remoteSchedd ? { schedd: scheddName, pool: `127.0.0.1:${place.port}` } : {})
    },
    run,
    kill: (daemon) => end(daemon, 'SIGKILL'),
    stop: (daemon) => end(daemon, 'SIGQUIT'),
    start: async (daemon) => {
      spawnDaemon(daemon)
      await eventually(() => answers(daemon), { deadlineMs: 120_000, everyMs: 50 })
      if (daemon === 'schedd' || daemon === 'negotiator') await introduce()
    },
    pause: (daemon) => signal(daemon, 'SIGSTOP'),
    resume: (daemon) => signal(daemon, 'SIGCONT'),
    close
  }
}

/** Directories, configurations and tokens of everybody. */
async function prepare(shape: LabShape, place: LabPlace, nodes: readonly string[]): Promise<void> {
  const { dir } = place
  const key = randomBytes(48).toString('hex')
  for (const role of ['central', 'schedd', 'client', ...nodes]) {
    for (const name of ['log', 'lock', 'spool', 'execute'])
      await mkdir(join(dir, role, name), { recursive: true, mode: 0o755 })
    for (const name of ['keys', 'tokens']) await mkdir(join(dir, role, name), { mode: 0o700 })
    await writeFile(configOf(dir, role), htcondorConfiguration(shape, place, role))
  }
  // Whoever takes tokens must have the key that signs them, as starters do from their start daemon.
  for (const role of ['central', 'schedd', ...nodes])
    await writeFile(join(dir, role, 'keys/POOL'), key, { mode: 0o600 })
  const env = { PATH: pathOf(shape.prefix), CONDOR_CONFIG: configOf(dir, 'central') }
  const [program, ...args] = besideUs(['condor_token_create', '-identity'], shape)
  const token = async (identity: string) => (await call(program, [...args, identity], { env })).stdout
  const [ofDaemons, ofOwner] = await Promise.all([token(`${DAEMON}@${DOMAIN}`), token(`${OWNER}@${DOMAIN}`)])
  for (const role of ['central', 'schedd', ...nodes])
    await writeFile(join(dir, role, 'tokens/pool'), ofDaemons, { mode: 0o600 })
  await writeFile(join(dir, 'client/tokens/pool'), ofOwner, { mode: 0o600 })
  await prepareContainers(place, shape, nodes)
  if (shape.users.length === 0) return
  for (const { name, home } of shape.users) {
    const tokens = join(home, '.condor', 'tokens.d')
    await mkdir(tokens, { recursive: true, mode: 0o700 })
    await writeFile(join(tokens, 'pool'), await token(`${name}@${DOMAIN}`), { mode: 0o600 })
    await call('chown', ['-R', `${name}:`, join(home, '.condor')])
  }
  // What daemons of root write is of their account; clients of everybody find their configuration.
  await chmod(dir, 0o711)
  for (const role of ['central', 'schedd', ...nodes])
    for (const name of ['', 'log', 'lock', 'spool', 'execute'])
      await chown(join(dir, role, name), account.uid, account.gid)
}

/** Debian has no image for a start daemon's own test of its container runtime: it is made of the tree for it. */
async function prepareContainers(
  { dir, places }: LabPlace,
  { prefix }: LabShape,
  nodes: readonly string[]
): Promise<void> {
  const apptainer = apptainerPath(prefix)
  const image = join(dir, 'exit_37.sif')
  const tree = join(places.libexec, 'singularity_test_sandbox')
  const made =
    apptainer !== undefined &&
    (await call(apptainer, ['build', '-F', image, tree]).then(
      () => true,
      () => false
    ))
  for (const node of nodes) {
    const libexec = join(dir, node, 'libexec')
    await mkdir(libexec)
    for (const name of await readdir(places.libexec))
      await symlink(join(places.libexec, name), join(libexec, name))
    if (made) await copyFile(image, join(libexec, 'exit_37.sif'))
    if (apptainer !== undefined)
      await writeFile(
        join(libexec, 'apptainer'),
        // A private registry has no certificate.
        `#!/bin/sh\nexport APPTAINER_NOHTTPS=1 APPTAINER_USERNS=1\nexec ${apptainer} "$@"\n`,
        { mode: 0o755 }
      )
  }
}

/** Apptainer of PATH, or from where the project's scripts put it. */
const apptainerPath = (prefix: string | undefined): string | undefined =>
  findProgram('apptainer', prefix) ??
  (existsSync('/opt/apptainer/bin/apptainer') ? '/opt/apptainer/bin/apptainer' : undefined)

async function lastWords(dir: string, roles: readonly string[]): Promise<string> {
  const texts: string[] = []
  for (const role of roles)
    for (const name of await readdir(join(dir, role, 'log')).catch(() => [])) {
      if (!name.endsWith('Log')) continue
      const text = await readFile(join(dir, role, 'log', name), 'utf8').catch(() => '')
      texts.push(`${role}/${name}:\n${text.split('\n').slice(-15).join('\n')}`)
    }
  return texts.join('\n')
}
