/** The host keys that OpenSSH knows, sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT". Pure. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

export type HostVerdict = 'known' | 'unknown' | 'changed' | 'revoked'

/** What a known_hosts file says of a key that a host has shown. */
export function judgeHostKey(text: string, host: string, port: number, key: Buffer): HostVerdict {
  const name = port === 22 ? host : `[${host}]:${port}`
  const type = keyType(key)
  let verdict: HostVerdict = 'unknown'
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/)
    const marker = words[0]?.startsWith('@') ? words.shift() : undefined
    const [patterns = '', kind = '', encoded = ''] = words
    if (patterns === '' || patterns.startsWith('#') || marker === '@cert-authority') continue
    if (kind !== type || !matchesHost(patterns, name.toLowerCase())) continue
    const same = equal(Buffer.from(encoded, 'base64'), key)
    if (marker === '@revoked' && same) return 'revoked'
    if (marker !== undefined) continue
    if (same) verdict = 'known'
    else if (verdict === 'unknown') verdict = 'changed'
  }
  return verdict
}

/** As `ssh-keygen -l` prints it. */
export const fingerprint = (key: Buffer): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`

/** Types of the keys that are known of a host, to be asked for first. */
export function knownKeyTypes(text: string, host: string, port: number): string[] {
  const name = (port === 22 ? host : `[${host}]:${port}`).toLowerCase()
  return text.split('\n').flatMap((line) => {
    const [patterns = '', kind = ''] = line.trim().split(/\s+/)
    return patterns === '' || /^[#@]/.test(patterns) || !matchesHost(patterns, name) ? [] : [kind]
  })
}

const keyType = (key: Buffer): string =>
  key.length < 4 ? '' : key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1')

function matchesHost(patterns: string, name: string): boolean {
  if (patterns.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = patterns.split('|')
    return equal(
      createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest(),
      Buffer.from(hash, 'base64')
    )
  }
  const all = patterns.toLowerCase().split(',')
  const isMatch = (pattern: string) => glob(pattern).test(name)
  if (all.some((pattern) => pattern.startsWith('!') && isMatch(pattern.slice(1)))) return false
  return all.some((pattern) => !pattern.startsWith('!') && isMatch(pattern))
}

const glob = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`
  )

const equal = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
