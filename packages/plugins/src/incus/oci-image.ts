import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { PluginError } from '../errors.ts'
import { registryOf } from '../kit/runtimes/credentials.ts'
import { shellQuote } from '../kit/supervisor/quote.ts'
import { firstOciProgram } from './first-program.ts'
import type { IncusOptions } from './options.ts'
import { IncusUnreachable, InstanceFiles, type IncusConnection } from './rest/index.ts'

/** An image of a registry as Incus asks for it: https://linuxcontainers.org/incus/docs/main/api-extensions/, `instance_oci`. */
export interface OciImage {
  /** https:// */
  readonly server: string
  /** Repository, and tag or digest. */
  readonly alias: string
}

type Remotes = IncusOptions['remotes']

/** With it Incus tells what an image runs, and runs something else in its place. */
const extension = 'instance_oci_entrypoint'

/** What is started in the place of the image's own, by its root. */
const started = {
  'oci.entrypoint': firstOciProgram,
  'oci.cwd': '/',
  'oci.uid': '0',
  'oci.gid': '0'
}

const tools = ['sh', 'tar', 'mount', 'unshare', 'nsenter']
const toolDirectories = ['/bin', '/usr/bin', '/sbin', '/usr/sbin']

const Server = Type.Object({
  api_extensions: Type.Array(Type.String()),
  environment: Type.Object({ server_version: Type.String() })
})
const Made = Type.Object({ config: Type.Record(Type.String(), Type.String()) })

/**
 * Where an image is, `<remote>:<alias>` or as everybody else names it, `<registry>/<repository>:<tag>`; undefined for one
 * of no registry of the remotes.
 */
export function ociImage(image: string, remotes: Remotes): OciImage | undefined {
  const [, word = '', alias = ''] = /^([A-Za-z0-9-]+):(.+)$/.exec(image) ?? []
  const named = Object.hasOwn(remotes, word) ? remotes[word] : undefined
  if (named) return named.protocol === 'oci' ? { server: named.url, alias } : undefined
  const host = namedRegistry(image)
  const remote = Object.values(remotes).find(
    ({ url, protocol }) => protocol === 'oci' && new URL(url).host === host
  )
  return host === undefined || !remote
    ? undefined
    : { server: remote.url, alias: image.slice(host.length + 1) }
}

function namedRegistry(image: string): string | undefined {
  const { host } = registryOf(image)
  return image.startsWith(`${host}/`) ? host : undefined
}

/** @throws PluginError where the server is too old for images of registries */
export async function needOci(incus: IncusConnection, image: string): Promise<void> {
  const server = await incus.facts()
  if (!Value.Check(Server, server)) throw new IncusUnreachable(`${incus.server} says not what it can do`)
  if (server.api_extensions.includes(extension)) return
  const { server_version: version } = server.environment
  throw refused(
    `${image} is an OCI image, and Incus ${version} lacks what runs them (${extension}); use Incus 7, or an image of the server's own store`
  )
}

/**
 * Has an instance that was made of an image of a registry start the job in the place of what the image says, which is
 * told to the job by the file `image`.
 * @throws PluginError where the image lacks what the supervisor needs
 */
export async function takeImage(
  incus: IncusConnection,
  instance: string,
  { dir, image }: { readonly dir: string; readonly image: string }
): Promise<void> {
  const files = new InstanceFiles(incus, instance)
  const present = new Set((await Promise.all(toolDirectories.map((path) => files.list(path)))).flat())
  const missing = tools.filter((tool) => !present.has(tool))
  if (missing.length > 0)
    throw refused(
      `${image} has no ${missing.join(', ')}, by which containers are run in an instance; take an image that has, such as one of Debian or Alpine`
    )
  const path = `/1.0/instances/${instance}`
  const made = await incus.get<unknown>(path)
  if (!Value.Check(Made, made)) throw new IncusUnreachable(`${incus.server} says not what ${instance} is`)
  const { config } = made
  const said = (key: keyof typeof started) => shellQuote(config[key] ?? '')
  const text = [
    `interlink_entrypoint=${said('oci.entrypoint')}`,
    `interlink_directory=${said('oci.cwd')}`,
    `interlink_user=${said('oci.uid')}`,
    `interlink_group=${said('oci.gid')}`,
    ''
  ]
  await writeFile(join(dir, 'image'), text.join('\n'), { mode: 0o600 })
  await incus.change('PATCH', path, { json: { config: started } })
}

/** What a registry has said, of what Incus tells of the program that asked it; and what may be missing here. */
export function wordsOfPull(image: string, message: string, remotes: Remotes): string {
  const [, words] = /level=fatal msg="((?:[^"\\]|\\.)*)"/.exec(message) ?? []
  const told = words === undefined ? message : words.replace(/\\(.)/g, '$1')
  const host = namedRegistry(image)
  const known = host === undefined || ociImage(image, remotes)
  return `image ${image}: ${told}${known ? '' : `; options.remotes has no registry ${host}`}`
}

const refused = (reason: string) => new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'Incus', reason })
