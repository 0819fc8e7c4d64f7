/** What a user is given: certificate, browser file, SSH key and VPN, each readable by its owner alone. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PluginError } from '../../errors.ts'
import { createClientCertificate } from './client-certificate.ts'
import type { Vpn } from './lab-options.ts'
import { addressIn, createWireguardKeys, wireguardConfiguration } from './wireguard.ts'

/** Of its files. */
export const userDirectory = (dir: string, user: string): string => join(dir, 'users', user)

export interface UserFiles {
  /** PEM; what servers are to trust. */
  readonly certificate: string
  /** By name, in the directory of the user. */
  readonly names: readonly string[]
  /** Of the VPN. */
  readonly publicKey?: string
  /** Moves them to where they stay. */
  keep(): Promise<void>
  discard(): Promise<void>
}

export interface UserFilesWish {
  readonly user: string
  /** PEM of a certificate that the user has already; nothing private is made then. */
  readonly certificate?: string
  readonly sshKey?: boolean
  readonly vpn?: { readonly options: Vpn; readonly address: string }
}

/** Makes the files beside where they are to be, so that a user is there whole or not at all. */
export async function makeUserFiles(dir: string, wish: UserFilesWish): Promise<UserFiles> {
  const { user, vpn } = wish
  const place = userDirectory(dir, user)
  if (existsSync(place))
    throw new PluginError('LAB_EXISTS', {
      kind: 'user',
      name: user,
      fix: `its files are in ${place}; interlink lab user delete ${user} takes them away`
    })
  const made = `${place}.new-${randomBytes(4).toString('hex')}`
  await mkdir(made, { recursive: true, mode: 0o700 })
  const names: string[] = []
  const write = async (name: string, content: string | Buffer) => {
    await writeFile(join(made, name), content, { mode: 0o600 })
    names.push(name)
  }
  try {
    let { certificate } = wish
    if (certificate === undefined) {
      const pair = await createClientCertificate(user, { days: 730 })
      certificate = pair.cert
      const password = randomBytes(12).toString('base64url')
      await write('client.key', pair.key)
      await write('client.crt', certificate)
      await write('client.pfx.password', `${password}\n`)
      await write('client.pfx', await browserFile(made, user))
    } else await write('client.crt', certificate)
    if (wish.sshKey) {
      // loaded for who needs it: it is the heaviest part of every other verb's start
      const { default: ssh2 } = await import('ssh2')
      const keys = ssh2.utils.generateKeyPairSync('ed25519', { comment: user })
      await write('id_ed25519', keys.private)
      await write('id_ed25519.pub', `${keys.public}\n`)
    }
    let publicKey: string | undefined
    if (vpn) {
      const keys = createWireguardKeys()
      publicKey = keys.publicKey
      await write('wireguard.conf', wireguardConfiguration(keys, vpn.address, vpn.options))
      await write('wireguard.pub', `${publicKey}\n`)
    }
    return {
      certificate,
      names,
      ...(publicKey === undefined ? {} : { publicKey }),
      keep: async () => {
        await rename(made, place)
        await chmod(place, 0o700)
      },
      discard: () => rm(made, { recursive: true, force: true })
    }
  } catch (error) {
    await rm(made, { recursive: true, force: true })
    throw error
  }
}

/** PKCS #12, as browsers import it. Key and password are read from files: arguments are seen by everybody. */
function browserFile(dir: string, user: string): Promise<Buffer> {
  const args = [
    'pkcs12',
    '-export',
    '-name',
    user,
    '-inkey',
    join(dir, 'client.key'),
    '-in',
    join(dir, 'client.crt')
  ]
  const password = ['-passout', `file:${join(dir, 'client.pfx.password')}`]
  return new Promise((resolve, reject) => {
    execFile('openssl', [...args, ...password], { encoding: 'buffer' }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout)
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      const reason = missing ? 'it is not there' : stderr.toString().trim().split('\n')[0]
      reject(new PluginError('LAB_TOOL', { tool: 'openssl', reason, fix: 'apt-get install openssl' }, error))
    })
  })
}

/** Addresses that the VPN has given to users. */
export async function vpnAddresses(dir: string): Promise<readonly string[]> {
  const users = await readdir(join(dir, 'users')).catch(() => [])
  const texts = await Promise.all(
    users.map((user) => readFile(join(dir, 'users', user, 'wireguard.conf'), 'utf8').catch(() => ''))
  )
  return texts.flatMap((text) => addressIn(text) ?? [])
}

export const vpnPublicKey = async (dir: string, user: string): Promise<string | undefined> =>
  (await readFile(join(userDirectory(dir, user), 'wireguard.pub'), 'utf8').catch(() => undefined))?.trim()

/** All files of a user in one, to be handed over. @returns its path */
export async function bundle(dir: string, user: string): Promise<string> {
  const file = join(dir, 'users', `${user}.tar.gz`)
  await writeFile(file, '', { mode: 0o600 })
  await chmod(file, 0o600)
  await new Promise<void>((resolve, reject) => {
    execFile('tar', ['-czf', file, '-C', join(dir, 'users'), user], (error) => {
      if (!error) return resolve()
      reject(
        new PluginError('LAB_TOOL', { tool: 'tar', reason: error.message, fix: 'apt-get install tar' }, error)
      )
    })
  })
  return file
}

export async function removeUserFiles(dir: string, user: string): Promise<boolean> {
  const place = userDirectory(dir, user)
  const there = existsSync(place)
  await rm(place, { recursive: true, force: true })
  await rm(join(dir, 'users', `${user}.tar.gz`), { force: true })
  return there
}
