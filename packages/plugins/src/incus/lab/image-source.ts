import { PluginError } from '../../errors.ts'
import type { LabServer, Remotes } from './remotes.ts'
import { printable } from './scope.ts'

interface Image {
  readonly fingerprint: string
  readonly public: boolean
  readonly type: string
}

/**
 * The `source` of an instance from `alias`, a fingerprint, or `<remote>:<alias>`. Images of another Incus are pulled by
 * the target itself, so that it has to reach that one.
 * @throws PluginError LAB_UNKNOWN where there is no such image
 */
export async function imageSource(
  remotes: Remotes,
  target: LabServer,
  image: string
): Promise<Readonly<Record<string, unknown>>> {
  const colon = image.indexOf(':')
  const [remote, alias] = colon < 0 ? [target.remote, image] : [image.slice(0, colon), image.slice(colon + 1)]
  if (alias === '' || /\s/.test(image))
    throw new PluginError('LAB_INVALID', {
      field: 'image',
      reason: `"${printable(image)}" is none: expected an alias, a fingerprint, or <remote>:<alias>`
    })
  const entry = remotes.configuration.remote(remote, false)
  if (entry.protocol !== 'incus')
    return { type: 'image', mode: 'pull', server: entry.address, protocol: entry.protocol, alias }
  const server = remote === target.remote ? target : await remotes.connect(remote)
  const { fingerprint, public: isPublic } = await findImage(server, alias)
  if (remote === target.remote) return { type: 'image', fingerprint }
  return {
    type: 'image',
    mode: 'pull',
    server: await reachableAddress(server, entry.address),
    protocol: 'incus',
    certificate: await certificateOf(server),
    fingerprint,
    ...(isPublic ? {} : { secret: await secretOf(server, fingerprint) })
  }
}

async function findImage(server: LabServer, alias: string): Promise<Image> {
  const named = await server.find<{ target: string }>(`/1.0/images/aliases/${encodeURIComponent(alias)}`)
  const found = await server.find<Image>(`/1.0/images/${encodeURIComponent(named?.target ?? alias)}`)
  if (found) return found
  const aliases = await server.get<{ name: string }[]>('/1.0/images/aliases', { recursion: 1 })
  const names = aliases.map(({ name }) => name).sort()
  throw new PluginError('LAB_UNKNOWN', {
    kind: `image on remote ${server.remote}`,
    name: printable(alias),
    fix:
      names.length === 0
        ? 'it has none; name one of another remote, such as images:debian/12/cloud'
        : `there are ${names.slice(0, 20).join(', ')}, and those of other remotes by <remote>:<alias>`
  })
}

interface ServerFacts {
  readonly environment: { readonly addresses: readonly string[] | null; readonly certificate: string }
}

async function certificateOf(server: LabServer): Promise<string> {
  return (await server.get<ServerFacts>('/1.0')).environment.certificate
}

/** Where others reach it; a socket is of one machine alone. */
async function reachableAddress(server: LabServer, address: string): Promise<string> {
  if (address.startsWith('https:')) return address
  const { environment } = await server.get<ServerFacts>('/1.0')
  const [first] = environment.addresses ?? []
  if (first !== undefined) return `https://${first}`
  throw new PluginError('LAB_INVALID', {
    field: 'image',
    reason: `remote ${server.remote} does not listen on the network, so that others cannot fetch its images; incus config set core.https_address :8443 there`
  })
}

/** A word by which the target may fetch this image for a while. */
async function secretOf(server: LabServer, fingerprint: string): Promise<string> {
  const operation = await server.told(server.incus.begin(`/1.0/images/${fingerprint}/secret`, {}))
  return String(operation.metadata?.secret ?? '')
}
