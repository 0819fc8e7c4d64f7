/** A registry of OCI images of this machine's packages; docker-registry(1), umoci(1), skopeo(1). */
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { openSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { busybox } from './image-root.ts'
import { onPath } from './on-path.ts'
import { signalGroup, spawnReaped, temporaryDirectory } from './reaper.ts'

const call = promisify(execFile)

/** What an image says of how it is run; umoci-config(1). */
export interface ImageConfig {
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  readonly env?: readonly string[]
  readonly workingdir?: string
  readonly user?: string
}

export interface Registry {
  /** `127.0.0.1:PORT`; it speaks plain HTTP, or TLS where there is a `caFile`. */
  readonly host: string
  /** By which its certificate is trusted. */
  readonly caFile?: string
  /** What a private one asks for. */
  readonly password: string
  /** A docker config file with it, and its content. */
  readonly authFile: string
  readonly config: string
  /** Puts an image of that root there, as `HOST/NAME`; resolves with its digest. */
  push(name: string, root: string, config?: ImageConfig): Promise<string>
  /** Lines of the requests it has had. */
  requests(): Promise<string[]>
  /** While it is paused it takes connections and answers nothing. */
  pause(): void
  resume(): void
  close(): Promise<void>
}

export function registryMissing(): string | undefined {
  const missing = ['docker-registry', 'skopeo', 'umoci', 'perl'].filter((program) => !onPath(program))
  if (missing.length > 0) return `${missing.join(', ')} missing; apt-get install ${missing.join(' ')}`
  return busybox ? undefined : 'busybox is missing; apt-get install busybox-static'
}

/** `open`: nobody is asked for a password. `tls`: behind a certificate of its own. */
export async function startRegistry({ open = false, tls = false } = {}): Promise<Registry> {
  const directory = temporaryDirectory('registry')
  const dir = directory.path
  const host = `127.0.0.1:${await freePort()}`
  const password = `canary-${randomBytes(12).toString('hex')}`
  const config = JSON.stringify({
    auths: { [host]: { auth: Buffer.from(`puller:${password}`).toString('base64') } }
  })
  const authFile = join(dir, 'auth.json')
  await writeFile(authFile, config, { mode: 0o600 })
  await writeFile(join(dir, 'htpasswd'), `puller:${bcrypt(password)}\n`, { mode: 0o600 })
  await writeFile(
    join(dir, 'config.yml'),
    [
      'version: 0.1',
      'log: { accesslog: { disabled: false } }',
      `storage: { filesystem: { rootdirectory: ${dir}/storage } }`,
      `http: { addr: "${host}"${tls ? `, tls: { certificate: ${dir}/tls.crt, key: ${dir}/tls.key }` : ''} }`,
      ...(open ? [] : [`auth: { htpasswd: { realm: lab, path: ${dir}/htpasswd } }`]),
      ''
    ].join('\n')
  )
  if (tls) await writeCertificate(dir)
  // To whom speaks HTTP, a server behind TLS says that this was wrong.
  const ready = tls ? 400 : open ? 200 : 401
  const log = openSync(join(dir, 'log'), 'w')
  const child = spawnReaped('docker-registry', ['serve', join(dir, 'config.yml')], {
    stdio: ['ignore', log, log]
  })
  const close = async () => {
    signalGroup(child, 'SIGKILL')
    await directory.remove()
  }
  try {
    await eventually(
      () =>
        fetch(`http://${host}/v2/`).then(
          ({ status }) => status === ready,
          () => false
        ),
      { deadlineMs: 180_000, everyMs: 50 }
    )
  } catch (error) {
    await close()
    throw error
  }
  return {
    host,
    ...(tls ? { caFile: join(dir, 'tls.crt') } : {}),
    password,
    authFile,
    config,
    async push(name, root, image = {}) {
      const work = await mkdtemp(join(dir, 'push-'))
      const umoci = (...args: string[]) => call('umoci', args, { cwd: work })
      await umoci('init', '--layout', 'oci')
      await umoci('new', '--image', 'oci:x')
      await umoci('unpack', '--image', 'oci:x', 'bundle')
      await cp(`${root}/.`, join(work, 'bundle/rootfs'), { recursive: true, verbatimSymlinks: true })
      await umoci('repack', '--image', 'oci:x', 'bundle')
      const options = Object.entries(image).flatMap(([key, value]) =>
        [value].flat().flatMap((word) => [`--config.${key}`, word])
      )
      if (options.length > 0) await umoci('config', '--image', 'oci:x', ...options)
      const digest = join(work, 'digest')
      const to = ['--dest-tls-verify=false', '--dest-authfile', authFile, '--digestfile', digest]
      await call('skopeo', ['copy', '-q', ...to, `oci:${work}/oci:x`, `docker://${host}/${name}`])
      const pushed = (await readFile(digest, 'utf8')).trim()
      await rm(work, { recursive: true, force: true })
      return pushed
    },
    requests: async () => (await readFile(join(dir, 'log'), 'utf8')).split('\n'),
    pause: () => signalGroup(child, 'SIGSTOP'),
    resume: () => signalGroup(child, 'SIGCONT'),
    close
  }
}

/** `tls.crt` and `tls.key` of a server on loopback; openssl-req(1). */
export async function writeCertificate(dir: string): Promise<void> {
  const files = ['-keyout', join(dir, 'tls.key'), '-out', join(dir, 'tls.crt')]
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await call('openssl', ['req', '-x509', ...kind, ...files, ...names])
}

/** The registry knows passwords by bcrypt alone, which the C library has; crypt(5). */
const bcrypt = (password: string): string =>
  execFileSync('perl', ['-e', 'print crypt(<STDIN>, q($2b$05$interlink.of.the.lab.uu))'], {
    input: password,
    encoding: 'utf8'
  })
