import { Type, type Static } from 'typebox'
import { shellQuote } from '../supervisor/quote.ts'

const closed = { additionalProperties: false } as const
const path = (description: string) => Type.String({ pattern: '^/', description })
/** `~/` is the home of the account where the jobs run. */
const pathOrHome = (description: string) => Type.String({ pattern: '^~?/', description })

export const ImageOptions = Type.Object(
  {
    prefix: Type.String({
      default: 'docker://',
      description: 'put before names without a scheme and path, unless the pod has slurm-job.vk.io/image-root'
    }),
    map: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'image of a pod to what stands for it here: a .sif, a directory or another reference'
    }),
    cvmfs: Type.Optional(
      path('directory of unpacked images, such as /cvmfs/unpacked.cern.ch; looked up before the cache')
    ),
    directories: Type.Array(path('a directory'), {
      default: [],
      description: 'where images given by path may lie; default: anywhere the account can read'
    }),
    cache: Type.Optional(
      pathOrHome('directory of pulled images, seen by every machine; default: ~/.interlink/images')
    ),
    limitBytes: Type.Optional(
      Type.Integer({ minimum: 1, description: 'size of the cache; default: without a limit' })
    ),
    authFile: Type.Optional(
      pathOrHome('docker config file with credentials for registries, readable by the account alone')
    ),
    pull: Type.Union([Type.Literal('submit'), Type.Literal('job')], {
      default: 'submit',
      description: 'who pulls: the machine that submits, while the job is queued; or the job'
    }),
    patienceSeconds: Type.Integer({
      default: 3600,
      minimum: 1,
      description: 'how long a job waits for an image'
    }),
    retrySeconds: Type.Integer({
      default: 120,
      minimum: 0,
      description:
        'for how long a job that holds its nodes tries again to get an image that could not be pulled'
    })
  },
  { ...closed, default: {} }
)
export type ImageOptions = Static<typeof ImageOptions>

/** What an image of a pod is here. */
export type ResolvedImage =
  | { readonly kind: 'host' }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'remote'; readonly reference: string }
  | { readonly kind: 'invalid'; readonly why: string }

const schemes = ['docker', 'oras', 'library', 'shub', 'http', 'https']
/** A name, a tag and a digest; distribution/reference, without what is left to the registry. */
const name =
  /^(?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/i

/**
 * Where an image is: the site's map, then `host`, paths, references with a scheme, and names behind the prefix.
 * Pure; whether it is there is found out where the job runs.
 */
export function resolveImage(image: string, root: string | undefined, options: ImageOptions): ResolvedImage {
  const mapped = Object.hasOwn(options.map, image) ? options.map[image]! : undefined
  return mapped === undefined
    ? resolve(image, root, options)
    : resolve(mapped, '', { ...options, directories: [] })
}

function resolve(image: string, root: string | undefined, options: ImageOptions): ResolvedImage {
  if (image === 'host') return { kind: 'host' }
  if (image === '' || /[\s\p{Cc}]/u.test(image)) return invalid(image, 'has blanks or control characters')
  if (image.startsWith('/')) return atPath(image, options)
  const [, scheme, rest = ''] = /^([a-z][a-z0-9-]*):\/\/(.*)$/.exec(image) ?? []
  if (scheme !== undefined) {
    if (!schemes.includes(scheme))
      return invalid(image, `has the scheme ${scheme}; known are ${schemes.join(', ')}, or a path`)
    if (scheme === 'docker' && !name.test(rest)) return invalid(image, 'is no name of an image')
    if (rest === '') return invalid(image, 'has nothing behind its scheme')
    return { kind: 'remote', reference: image }
  }
  if (!name.test(image)) return invalid(image, 'is no name of an image')
  const prefix = root ?? options.prefix
  if (prefix === '') return { kind: 'remote', reference: `docker://${image}` }
  const whole = `${prefix}${/[/:]$/.test(prefix) ? '' : '/'}${image}`
  if (!whole.startsWith('/') && !whole.includes('://')) return resolve(`docker://${whole}`, '', options)
  return resolve(whole, '', options)
}

function atPath(image: string, { directories }: ImageOptions): ResolvedImage {
  if (image.split('/').includes('..')) return invalid(image, 'has ".." in its path')
  if (directories.length > 0 && !directories.some((dir) => image === dir || image.startsWith(`${dir}/`)))
    return invalid(image, `is outside of ${directories.join(', ')}`)
  return { kind: 'path', path: image }
}

const invalid = (image: string, why: string): ResolvedImage => ({
  kind: 'invalid',
  why: `InvalidImageName: ${JSON.stringify(image)} ${why}; correct it`
})

/** `images.conf` of a job directory; see assets/apptainer/image.sh. */
export function imagesConf({
  cache,
  limitBytes,
  cvmfs,
  authFile,
  pull,
  patienceSeconds,
  retrySeconds
}: ImageOptions): string {
  const values = {
    cache,
    limit: limitBytes,
    cvmfs,
    auth: authFile,
    patience: patienceSeconds,
    retry: retrySeconds
  }
  return [
    ...Object.entries(values).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${homeQuote(String(value))}\n`]
    ),
    pull === 'submit' ? 'elsewhere=1\n' : ''
  ].join('')
}

const homeQuote = (value: string): string =>
  value.startsWith('~/') ? `"$HOME"/${shellQuote(value.slice(2))}` : shellQuote(value)
