import { routeCommand, tellRouter, parseLogin } from '@interlink-ts/plugins/lab'
import { UsageError } from '../../errors.ts'
import type { Lab, LabFlags } from './session.ts'

export interface RouteFlags extends LabFlags {
  readonly via?: string
  readonly type?: string
  readonly router?: string
  readonly dev?: string
  readonly login?: string
  readonly port?: number
  readonly keyFile?: string
  readonly knownHosts?: string
  readonly dryRun?: boolean
}

/** FIGO's words: `DST via GW type linux|mikrotik target|host X`. */
function readWords(words: readonly string[]): Record<string, string> {
  const said: Record<string, string> = {}
  for (let index = 0; index < words.length; index += 2) {
    const [key, value] = [words[index]!, words[index + 1]]
    if (!['via', 'type', 'target', 'host'].includes(key) || value === undefined)
      throw new UsageError(
        `"${key}" is not understood; expected DESTINATION via GATEWAY type linux|mikrotik host ROUTER`
      )
    said[key] = value
  }
  return said
}

export async function vpnAddRoute(
  lab: Lab,
  flags: RouteFlags,
  destination: string,
  words: readonly string[]
): Promise<void> {
  const said = readWords(words)
  const hub = lab.options.vpn?.hub
  const via = flags.via ?? said.via
  const type = flags.type ?? said.type ?? hub?.type
  const named = flags.router ?? said.host ?? said.target
  if (via === undefined) throw new UsageError('say by which gateway: via GATEWAY, or --via')
  if (type !== 'linux' && type !== 'mikrotik')
    throw new UsageError(
      type === undefined
        ? 'say what the router is: --type linux or --type mikrotik'
        : `--type: "${type}" is neither linux nor mikrotik`
    )
  if (named === undefined && hub === undefined)
    throw new UsageError(`say which router: --router user@host, or vpn.hub in ${lab.options.file}`)
  const login = named === undefined ? hub! : parseLogin(named)
  const router = {
    type: type as 'linux' | 'mikrotik',
    host: login.host,
    port: flags.port ?? login.port ?? 22,
    user: flags.login ?? login.user ?? (type === 'mikrotik' ? 'admin' : 'root'),
    ...((flags.keyFile ?? hub?.keyFile) ? { keyFile: flags.keyFile ?? hub?.keyFile } : {}),
    ...((flags.knownHosts ?? hub?.knownHostsFile)
      ? { knownHostsFile: flags.knownHosts ?? hub?.knownHostsFile }
      : {})
  }
  const command = routeCommand(type, router.user, {
    destination,
    via,
    ...(flags.dev === undefined ? {} : { device: flags.dev })
  })
  const name = `${router.user}@${router.host}:${router.port}`
  const dryRun = flags.dryRun ?? false
  if (!dryRun) await tellRouter(router, command)
  lab.print({ router: name, command, done: !dryRun }, () =>
    dryRun ? `${name} would be told: ${command}\n` : `${name}: ${destination} goes by ${via}\n`
  )
}
