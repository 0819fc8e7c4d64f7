import { createHash } from 'node:crypto'
import { PluginError } from '../../errors.ts'
import { InstanceFiles, type Owner } from '../rest/index.ts'
import { nameOfFound, type Found } from './instances.ts'
import { printable } from './scope.ts'
import { isRunning } from './instance-record.ts'

export interface PublicKey {
  readonly type: string
  readonly comment: string
  /** As `ssh-keygen -l` prints it. */
  readonly fingerprint: string
  readonly line: string
}

const types = [
  'ssh-ed25519',
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com'
]

/** One line of a `.pub` file. @throws PluginError LAB_INVALID; it never quotes what could be a private key */
export function readPublicKey(line: string): PublicKey {
  const [, type = '', encoded = '', comment = ''] =
    /^(\S+)[ \t]+(\S+)[ \t]*([^\r\n]*)$/.exec(line.trim()) ?? []
  const blob = Buffer.from(encoded, 'base64')
  const says = blob.length > 4 ? blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1') : ''
  if (!types.includes(type) || says !== type) {
    const reason = /PRIVATE KEY/.test(line)
      ? 'it is a private key; give the public one, which ends in .pub'
      : `it is no public key of SSH: expected a line such as "ssh-ed25519 AAAA… me@host"`
    throw new PluginError('LAB_INVALID', { field: 'key', reason })
  }
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')
  const said = printable(comment.trim())
  return {
    type,
    comment: said,
    fingerprint: `SHA256:${digest}`,
    line: `${type} ${encoded}${said === '' ? '' : ` ${said}`}`
  }
}

/** Keys of a file; lines that are none, such as those with options, are left as they are and not told. */
export function readAuthorized(text: string): PublicKey[] {
  return text.split('\n').flatMap((line) => {
    try {
      return [readPublicKey(line)]
    } catch {
      return []
    }
  })
}

interface Account {
  readonly home: string
  readonly owner: Owner
}

/** The keys that let `login` in. The instance may be stopped, if it is a container. */
export async function authorizedKeys(found: Found, login: string): Promise<readonly PublicKey[]> {
  const files = await filesOf(found)
  const { home } = await accountOf(found, files, login)
  return readAuthorized((await readText(found, files, `${home}/.ssh/authorized_keys`)) ?? '')
}

/**
 * Lets `login` in by a key, by the files of the instance alone: nothing of the key is run by anybody.
 * @returns the keys that are new
 */
export async function addAuthorizedKeys(
  found: Found,
  login: string,
  keys: readonly PublicKey[]
): Promise<readonly PublicKey[]> {
  const files = await filesOf(found)
  const { home, owner } = await accountOf(found, files, login)
  const path = `${home}/.ssh/authorized_keys`
  const text = (await readText(found, files, path)) ?? ''
  const known = new Set(readAuthorized(text).map(({ fingerprint }) => fingerprint))
  const added = keys.filter(({ fingerprint }) => !known.has(fingerprint))
  if (added.length === 0) return []
  const before = text === '' || text.endsWith('\n') ? text : `${text}\n`
  const content = before + added.map(({ line }) => `${line}\n`).join('')
  await found.server.told(files.push(`${home}/.ssh`, { type: 'directory', mode: 0o700 }, owner))
  await found.server.told(files.push(path, { type: 'file', mode: 0o600, content }, owner))
  return added
}

async function filesOf(found: Found): Promise<InstanceFiles> {
  const { server, record } = found
  if (record.type === 'virtual-machine' && !isRunning(record))
    throw new PluginError('LAB_STATE', {
      name: nameOfFound(found),
      state: 'is a virtual machine that is stopped, whose files nobody reaches',
      fix: 'start it first, or give the key with instance create --key'
    })
  return new InstanceFiles(server.incus, record.name)
}

const readText = async ({ server }: Found, files: InstanceFiles, path: string): Promise<string | undefined> =>
  (await server.told(files.read(path)))?.toString()

async function accountOf(found: Found, files: InstanceFiles, login: string): Promise<Account> {
  const lines = ((await readText(found, files, '/etc/passwd')) ?? '')
    .split('\n')
    .map((line) => line.split(':'))
  const entry = lines.find(([name]) => name === login && login !== '')
  if (entry?.[5]?.startsWith('/'))
    return { home: entry[5].replace(/\/+$/, ''), owner: { uid: Number(entry[2]), gid: Number(entry[3]) } }
  const people = lines
    .filter(([name, , uid]) => name && (uid === '0' || Number(uid) >= 1000) && name !== 'nobody')
    .map(([name]) => printable(name!))
  throw new PluginError('LAB_UNKNOWN', {
    kind: `account in ${nameOfFound(found)}`,
    name: printable(login),
    fix: `there are ${people.join(', ') || 'none yet'}; name one by --login (cloud-init makes its own at the first start)`
  })
}
