/** `user@login:port`, or a host of ~/.ssh/config, as the `ssh` section of the options. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fromHome } from './home.ts'
import type { SshOptions } from './ssh-options.ts'

export interface Login {
  /** What was asked for. */
  readonly host: Pick<SshOptions, 'host' | 'user' | 'port'>
  /** What ssh(1) would use besides, where the configuration says nothing else. */
  readonly found: Partial<Pick<SshOptions, 'keyFile' | 'agent' | 'jump'>>
}

interface Named {
  readonly host: string
  readonly user?: string
  readonly port?: number
}

/**
 * Where `ssh LOGIN` would go, by ssh(1) itself where it is installed, so that a host of ~/.ssh/config is understood
 * with its HostName, User, Port, IdentityFile, IdentityAgent and ProxyJump.
 * @param login `[user@]host[:port]`, an IPv6 address in brackets
 * @throws Error that says what is wrong with it
 */
export async function readLogin(login: string): Promise<Login> {
  const named = parseLogin(login)
  const config = await askSsh(named)
  const [jump, ...further] = wordOf(config, 'proxyjump')?.split(',') ?? []
  const unsupported =
    further.length > 0 ? 'ProxyJump over several hosts' : wordOf(config, 'proxycommand') && 'ProxyCommand'
  if (unsupported)
    throw new Error(`ssh config of ${named.host}: ${unsupported} is not supported; one ProxyJump is`)
  const keyFile = ownKey(config)
  const agent = wordOf(config, 'identityagent')
  return {
    host: hostOf(named, config),
    found: {
      ...(keyFile === undefined ? {} : { keyFile }),
      ...(agent && /^[~/]/.test(agent) ? { agent } : {}),
      ...(jump === undefined ? {} : { jump: await readJump(jump) })
    }
  }
}

/** @throws Error */
export function parseLogin(login: string): Named {
  const [, user, bracketed, plain, port] =
    /^(?:([^\s@:[\]-][^\s@:[\]]*)@)?(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_][A-Za-z0-9._-]*))(?::(\d{1,5}))?$/.exec(
      login
    ) ?? []
  const host = bracketed ?? plain
  if (host === undefined || (port !== undefined && (Number(port) < 1 || Number(port) > 65535)))
    throw new Error(`"${login}" is no login; expected user@host or user@host:port`)
  return {
    host,
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port: Number(port) })
  }
}

async function readJump(login: string): Promise<Login['host']> {
  const named = parseLogin(login.replace(/^ssh:\/\//, ''))
  return hostOf(named, await askSsh(named))
}

type Config = ReadonlyMap<string, readonly string[]>

const hostOf = ({ host, user, port }: Named, config: Config): Login['host'] => ({
  host: wordOf(config, 'hostname') ?? host,
  user: user ?? wordOf(config, 'user') ?? userInfo().username,
  port: port ?? Number(wordOf(config, 'port') ?? 22)
})

/** `ssh -G`: what ssh(1) makes of its configuration, without a connection. Nothing where there is no ssh. */
async function askSsh({ host, user, port }: Named): Promise<Config> {
  const file = join(homedir(), '.ssh', 'config')
  // ssh(1) looks for the home in the password file alone.
  const own = userInfo().homedir !== homedir() && existsSync(file) ? ['-F', file] : []
  const args = [
    ...own,
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', String(port)])
  ]
  const ran = await promisify(execFile)('ssh', ['-G', ...args, '--', host], { timeout: 10_000 }).catch(
    (error: NodeJS.ErrnoException & { stderr?: string }) => {
      if (error.code === 'ENOENT') return { stdout: '' }
      throw new Error(`ssh config of ${host}: ${error.stderr?.trim() || error.message}`, { cause: error })
    }
  )
  const config = new Map<string, string[]>()
  for (const line of ran.stdout.split('\n')) {
    const [, key, value] = /^(\S+) (.*)$/.exec(line) ?? []
    if (key !== undefined) config.set(key, [...(config.get(key) ?? []), value!])
  }
  return config
}

const wordOf = (config: Config, key: string): string | undefined => {
  const value = config.get(key)?.[0]
  return value === 'none' ? undefined : value
}

/** An IdentityFile that was configured: the defaults of ssh(1) are many, and looked for anyway. */
function ownKey(config: Config): string | undefined {
  const files = config.get('identityfile') ?? []
  const isDefault = files.includes('~/.ssh/id_rsa') && files.includes('~/.ssh/id_ed25519')
  return isDefault ? undefined : files.find((file) => existsSync(fromHome(file)))
}
