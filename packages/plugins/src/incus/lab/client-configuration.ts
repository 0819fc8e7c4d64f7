/**
 * What the `incus` command of this account knows: remotes, their certificates, and its own. `interlink lab` keeps
 * nothing beside it: https://linuxcontainers.org/incus/docs/main/remotes/
 */
import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { homedir, hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { isMap, parseDocument, type Document } from 'yaml'
import { PluginError } from '../../errors.ts'
import { writeDurable } from '../../kit/jobs/durable-file.ts'
import type { IncusServer } from '../rest/index.ts'
import { createClientCertificate } from './client-certificate.ts'

const Entry = Type.Object({
  addr: Type.String(),
  protocol: Type.Optional(Type.String()),
  project: Type.Optional(Type.String())
})

export interface RemoteEntry {
  readonly name: string
  /** `unix://`, `unix:///path` or `https://host:8443`. */
  readonly address: string
  /** Those of other protocols have images alone. */
  readonly protocol: 'incus' | 'simplestreams' | 'oci'
  /** Where no scope names one. */
  readonly project: string
}

/** As the command has them where nothing was configured. */
const builtIn: Readonly<Record<string, Static<typeof Entry>>> = {
  local: { addr: 'unix://', protocol: 'incus' },
  images: { addr: 'https://images.linuxcontainers.org', protocol: 'simplestreams' }
}

export const configurationDirectory = (env: NodeJS.ProcessEnv = process.env): string =>
  env.INCUS_CONF || join(env.HOME || homedir(), '.config', 'incus')

export class ClientConfiguration {
  readonly dir: string
  readonly #file: string
  readonly #document: Document
  readonly #env: NodeJS.ProcessEnv

  private constructor(dir: string, document: Document, env: NodeJS.ProcessEnv) {
    this.dir = dir
    this.#file = join(dir, 'config.yml')
    this.#document = document
    this.#env = env
  }

  /** @throws PluginError LAB_INVALID for a file that is there and cannot be read */
  static async load(env: NodeJS.ProcessEnv = process.env): Promise<ClientConfiguration> {
    const dir = configurationDirectory(env)
    const file = join(dir, 'config.yml')
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw new PluginError('LAB_INVALID', { field: file, reason: error.message }, error)
    })
    const document = parseDocument(text)
    if (document.errors.length > 0 || (text.trim() !== '' && !isMap(document.contents)))
      throw new PluginError('LAB_INVALID', {
        field: file,
        reason: `it is no configuration of incus: ${document.errors[0]?.message.split('\n')[0] ?? 'expected a map'}`
      })
    return new ClientConfiguration(dir, document, env)
  }

  get defaultRemote(): string {
    const name = this.#document.get('default-remote')
    return typeof name === 'string' && name !== '' ? name : 'local'
  }

  get remotes(): readonly RemoteEntry[] {
    const { remotes } = (this.#document.toJS() ?? {}) as { remotes?: Record<string, unknown> }
    return Object.entries({ ...builtIn, ...remotes }).flatMap(([name, entry]) => {
      if (!Value.Check(Entry, entry)) return []
      const { addr, protocol = 'incus', project = 'default' } = entry
      if (protocol !== 'incus' && protocol !== 'simplestreams' && protocol !== 'oci') return []
      return [{ name, address: addr, protocol, project: project || 'default' }]
    })
  }

  /** @throws PluginError LAB_UNKNOWN with those that there are */
  remote(name: string, servers = true): RemoteEntry {
    const found = this.remotes.find((entry) => entry.name === name)
    if (found && (found.protocol === 'incus' || !servers)) return found
    const known = this.remotes.filter(({ protocol }) => protocol === 'incus' || !servers)
    throw new PluginError('LAB_UNKNOWN', {
      kind: 'remote',
      name: found ? `${name} with instances` : name,
      fix: `there are ${known.map((entry) => entry.name).join(', ')}; interlink lab remote enroll adds one`
    })
  }

  /** How a remote is reached, with the certificate of this client and that of the server. */
  async server({ name, address }: RemoteEntry): Promise<IncusServer> {
    if (address.startsWith('unix:')) return { url: `unix://${this.#socket(address)}` }
    const ca = await readFile(this.#certificateOf(name), 'utf8').catch(() => undefined)
    return { url: address, tls: { ...(await this.identity()), ...(ca === undefined ? {} : { ca }) } }
  }

  /** It is a socket of this machine, and no Incus has made it. */
  lacks({ address }: RemoteEntry): boolean {
    return address.startsWith('unix:') && !existsSync(this.#socket(address))
  }

  #socket(address: string): string {
    const path = address.replace(/^unix:(\/\/)?/, '')
    if (path !== '') return path
    const { INCUS_SOCKET: socket, INCUS_DIR: dir } = this.#env
    if (socket) return socket
    if (dir) return join(dir, 'unix.socket')
    return ['/run/incus/unix.socket'].find(existsSync) ?? '/var/lib/incus/unix.socket'
  }

  /** The certificate and key by which servers know this client; made where there is none yet. */
  async identity(): Promise<{ cert: string; key: string }> {
    const [certFile, keyFile] = [join(this.dir, 'client.crt'), join(this.dir, 'client.key')]
    if (!existsSync(certFile) || !existsSync(keyFile)) {
      const made = await createClientCertificate(`${userInfo().username}@${hostname()}`)
      await this.#makeDirectory(this.dir)
      await writeFile(keyFile, made.key, { mode: 0o600 })
      await writeFile(certFile, made.cert, { mode: 0o644 })
    }
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
    if (/ENCRYPTED/.test(key))
      throw new PluginError('LAB_INVALID', {
        field: keyFile,
        reason: 'the key has a passphrase; interlink lab needs one without'
      })
    return { cert, key }
  }

  /** Of this client's certificate. */
  async fingerprint(): Promise<string> {
    return fingerprintOf((await this.identity()).cert)
  }

  /** @param certificate PEM of the server, by which it is known from now on */
  async add({ name, address, project }: RemoteEntry, certificate: string | undefined): Promise<void> {
    if (certificate !== undefined) {
      await this.#makeDirectory(join(this.dir, 'servercerts'))
      await writeFile(this.#certificateOf(name), certificate, { mode: 0o644 })
    }
    const entry = { addr: address, auth_type: 'tls', protocol: 'incus', public: false }
    this.#document.setIn(
      ['remotes', name],
      this.#document.createNode(project === 'default' ? entry : { ...entry, project })
    )
    await this.#save()
  }

  async remove(name: string): Promise<void> {
    this.#document.deleteIn(['remotes', name])
    await this.#save()
    await rm(this.#certificateOf(name), { force: true })
  }

  /** SHA-256 of the server's certificate, where it is pinned. */
  async pinned(name: string): Promise<string | undefined> {
    const pem = await readFile(this.#certificateOf(name), 'utf8').catch(() => undefined)
    return pem === undefined ? undefined : fingerprintOf(pem)
  }

  #certificateOf(name: string): string {
    return join(this.dir, 'servercerts', `${name}.crt`)
  }

  /** The command takes a file without a remote `local` for broken. */
  async #save(): Promise<void> {
    await this.#makeDirectory(this.dir)
    for (const [name, entry] of Object.entries(builtIn))
      if (!this.#document.hasIn(['remotes', name])) this.#document.setIn(['remotes', name], entry)
    if (!this.#document.has('default-remote')) this.#document.set('default-remote', 'local')
    await writeDurable(this.#file, String(this.#document))
    await chmod(this.#file, 0o600)
  }

  async #makeDirectory(path: string): Promise<void> {
    await mkdir(path, { recursive: true, mode: 0o700 })
  }
}

/** As Incus names a certificate: SHA-256 of its DER, in small hexadecimal digits. */
export const fingerprintOf = (pem: string): string =>
  new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
