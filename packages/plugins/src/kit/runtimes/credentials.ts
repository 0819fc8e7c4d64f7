import type { PlannedCredential } from '../plan/plan.ts'

/** Registry and repository of a reference; names without a registry are Docker Hub's. */
export function registryOf(reference: string): { readonly host: string; readonly repository: string } {
  const name = reference.replace(/^[a-z][a-z0-9-]*:\/\//, '').replace(/@.*$/, '')
  const [first = '', ...rest] = name.split('/')
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  const path = (isHost ? rest.join('/') : name).replace(/:[^/:]*$/, '')
  return { host: isHost ? first : 'index.docker.io', repository: path }
}

/**
 * The credential for an image: that with the longest path, of equal ones the first. As a kubelet matches them: `*`
 * stands for a part of a host name, ports are equal, paths are prefixes.
 * Source: k8s.io/kubernetes/pkg/credentialprovider/keyring.go, URLsMatch.
 */
export function credentialFor(
  reference: string,
  credentials: readonly PlannedCredential[]
): { readonly host: string; readonly auth: string } | undefined {
  const { host, repository } = registryOf(reference)
  const fitting = credentials
    .map(({ match, auth }) => ({ ...readMatch(match), auth }))
    .filter(({ pattern, path }) => hostFits(host, pattern) && pathFits(repository, path))
    .sort((a, b) => b.path.length - a.path.length)
  return fitting[0] && { host, auth: fitting[0].auth }
}

/** A docker config file with one entry; go-containerregistry knows Docker Hub by an address of old. */
export const dockerConfig = ({ host, auth }: { readonly host: string; readonly auth: string }): string =>
  `${JSON.stringify({ auths: { [host === 'index.docker.io' ? 'https://index.docker.io/v1/' : host]: { auth } } })}\n`

function readMatch(match: string): { readonly pattern: string; readonly path: string } {
  const bare = match.replace(/^https?:\/\//, '').replace(/\/v[12]\/?$/, '')
  const at = bare.indexOf('/')
  const pattern = at < 0 ? bare : bare.slice(0, at)
  return {
    pattern: pattern === 'docker.io' ? 'index.docker.io' : pattern,
    path: at < 0 ? '' : bare.slice(at + 1).replace(/\/$/, '')
  }
}

function hostFits(host: string, pattern: string): boolean {
  const parts = (text: string) => text.replace(/:(?=\d+$)/, '.:').split('.')
  const [wanted, given] = [parts(pattern), parts(host)]
  return (
    wanted.length === given.length &&
    wanted.every((part, index) =>
      part.includes('*') ? glob(part).test(given[index]!) : part === given[index]
    )
  )
}

const glob = (part: string): RegExp =>
  new RegExp(`^${part.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`)

const pathFits = (repository: string, path: string): boolean => repository.startsWith(path)
