/**
 * Where the API server is and who we are to it: a kubeconfig file, or the service account of the pod we run in.
 * Only small parts of @kubernetes/client-node are imported: its main entry costs 65 MB of memory.
 */
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js'
import { newClusters, newContexts, newUsers } from '@kubernetes/client-node/dist/config_types.js'
import type { Cluster, User } from '@kubernetes/client-node/dist/config_types.js'
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { whyUnreadable } from '@interlink-ts/interlink-api/config'
import { KubeConfigError } from './errors.ts'

export interface KubeConfig {
  /** Base URL, without a slash at the end. */
  readonly server: string
  /** Namespace of the context, or of the service account; `default` when neither says. */
  readonly namespace: string
  /** Name of the context, `in-cluster` inside a pod. */
  readonly context: string
  readonly ca?: string
  readonly servername?: string
  readonly insecure: boolean
  /** `http:` or `https:` proxy. */
  readonly proxyUrl?: string
  /** Asked before every call; cheap while nothing expires. `refresh` after a 401 discards what is cached. */
  credentials(refresh?: boolean): Promise<Credentials>
}

export interface Credentials {
  /** Value of the Authorization header. */
  readonly authorization?: string
  /** PEM. */
  readonly cert?: string
  readonly key?: string
}

export interface KubeConfigOptions {
  /** A kubeconfig file. @default the first file of $KUBECONFIG, then in-cluster, then ~/.kube/config */
  readonly path?: string
  /** @default the file's current-context */
  readonly context?: string
  readonly env?: NodeJS.ProcessEnv
  /** Where a pod finds its service account. */
  readonly serviceAccountDir?: string
}

const tokenLifeMs = 60_000

/** Throws {@link KubeConfigError} when there is none, or when it cannot be used. */
export async function loadKubeConfig(options: KubeConfigOptions = {}): Promise<KubeConfig> {
  const env = options.env ?? process.env
  const path = options.path ?? env.KUBECONFIG?.split(':').find(Boolean)
  if (path) return fromFile(resolve(path), options.context)
  if (env.KUBERNETES_SERVICE_HOST) return inCluster(env, options.serviceAccountDir)
  return fromFile(join(homedir(), '.kube', 'config'), options.context)
}

async function inCluster(
  env: NodeJS.ProcessEnv,
  dir = '/var/run/secrets/kubernetes.io/serviceaccount'
): Promise<KubeConfig> {
  const host = env.KUBERNETES_SERVICE_HOST ?? ''
  const token = tokenFile(join(dir, 'token'))
  await token()
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT ?? '443'}`,
    namespace: (await readFile(join(dir, 'namespace'), 'utf8').catch(() => 'default')).trim(),
    context: 'in-cluster',
    ca: await readText(join(dir, 'ca.crt'), 'the service account CA'),
    insecure: false,
    credentials: async (refresh) => ({ authorization: `Bearer ${await token(refresh)}` })
  }
}

async function fromFile(file: string, contextName?: string): Promise<KubeConfig> {
  const document = parseDocument(await readText(file, 'the kubeconfig'))
  const problem = document.errors[0]
  if (problem) {
    const line = problem.linePos?.[0].line ?? 1
    throw new KubeConfigError(`${file}:${line}: ${problem.message.split('\n')[0]}`)
  }
  const raw = (document.toJS() ?? {}) as Record<string, unknown>
  if (typeof raw !== 'object') throw new KubeConfigError(`${file}: this is no kubeconfig`)
  const { contexts, clusters, users } = entries(file, raw)
  const wanted = contextName ?? (raw['current-context'] as string | undefined)
  if (!wanted) throw new KubeConfigError(`${file}: current-context is not set: set it, or name a context`)
  const context = contexts.find((one) => one.name === wanted)
  if (!context) throw new KubeConfigError(`${file}: contexts has no ${wanted}`)
  const cluster = clusters.find((one) => one.name === context.cluster)
  if (!cluster)
    throw new KubeConfigError(`${file}: clusters has no ${context.cluster}, named by context ${wanted}`)
  const user = users.find((one) => one.name === context.user)
  if (context.user && !user) {
    throw new KubeConfigError(`${file}: users has no ${context.user}, named by context ${wanted}`)
  }
  return {
    ...(await endpoint(file, cluster)),
    namespace: context.namespace ?? 'default',
    context: wanted,
    credentials: await userCredentials(file, cluster, user)
  }
}

function entries(file: string, raw: Record<string, unknown>) {
  try {
    return {
      contexts: newContexts(raw.contexts),
      clusters: newClusters(raw.clusters),
      users: newUsers(raw.users)
    }
  } catch (error) {
    throw new KubeConfigError(`${file}: ${(error as Error).message}`)
  }
}

async function endpoint(file: string, cluster: Cluster) {
  const key = `${file}: clusters[${cluster.name}]`
  if (!/^https?:\/\//.test(cluster.server ?? '')) {
    throw new KubeConfigError(
      `${key}.cluster.server must be an http:// or https:// URL, is ${cluster.server}`
    )
  }
  if (cluster.proxyUrl && !/^https?:\/\//.test(cluster.proxyUrl)) {
    throw new KubeConfigError(`${key}.cluster.proxy-url must be http:// or https://, is ${cluster.proxyUrl}`)
  }
  const ca = cluster.caData
    ? decoded(cluster.caData)
    : cluster.caFile && (await readText(beside(file, cluster.caFile), `${key}.cluster.certificate-authority`))
  return {
    server: cluster.server.replace(/\/+$/, ''),
    insecure: cluster.skipTLSVerify ?? false,
    ...(ca && { ca }),
    ...(cluster.tlsServerName && { servername: cluster.tlsServerName }),
    ...(cluster.proxyUrl && { proxyUrl: cluster.proxyUrl })
  }
}

async function userCredentials(file: string, cluster: Cluster, user: User | undefined) {
  if (!user) return async () => ({})
  const key = `${file}: users[${user.name}].user`
  if (user.impersonateUser) throw new KubeConfigError(`${key}.as: impersonation is not supported, remove it`)
  if (user.exec) return execCredentials(file, cluster, user)
  if (user.authProvider) {
    throw new KubeConfigError(`${key}.auth-provider was removed from Kubernetes 1.26: use an exec plugin`)
  }
  const cert = user.certData
    ? decoded(user.certData)
    : user.certFile && (await readText(beside(file, user.certFile), `${key}.client-certificate`))
  const pem = user.keyData
    ? decoded(user.keyData)
    : user.keyFile && (await readText(beside(file, user.keyFile), `${key}.client-key`))
  const tls = cert && pem ? { cert, key: pem } : {}
  const path = (user as User & { tokenFile?: string }).tokenFile
  if (path) {
    const token = tokenFile(beside(file, path))
    return async (refresh?: boolean) => ({ ...tls, authorization: `Bearer ${await token(refresh)}` })
  }
  if (user.token) return async () => ({ ...tls, authorization: `Bearer ${user.token}` })
  if (user.username) {
    const basic = Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')
    return async () => ({ ...tls, authorization: `Basic ${basic}` })
  }
  return async () => tls
}

interface ExecSpec {
  readonly command?: string
  readonly apiVersion?: string
  readonly env?: readonly { readonly name: string; readonly value: string }[]
  readonly provideClusterInfo?: boolean
}

/** Plugins read the version and mode they are asked for from KUBERNETES_EXEC_INFO (client.authentication.k8s.io). */
function execCredentials(file: string, cluster: Cluster, user: User) {
  const exec = user.exec as ExecSpec
  const info = {
    apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(exec.provideClusterInfo && {
        cluster: { server: cluster.server, 'certificate-authority-data': cluster.caData }
      })
    }
  }
  const env = [...(exec.env ?? []), { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }]
  const command = exec.command?.includes('/') ? beside(file, exec.command) : exec.command
  const asked = { ...user, exec: { ...exec, command, env } }
  let auth = new ExecAuth()
  return async (refresh?: boolean): Promise<Credentials> => {
    if (refresh) auth = new ExecAuth()
    const options: { headers: Record<string, string>; cert?: string; key?: string } = { headers: {} }
    await (auth.applyAuthentication(asked, options as never) as Promise<void>).catch((error: Error) => {
      throw new KubeConfigError(
        `${file}: users[${user.name}].user.exec: ${exec.command} failed: ${error.message.trim()}`
      )
    })
    const authorization = options.headers.Authorization
    return {
      ...(authorization && { authorization }),
      ...(options.cert && options.key && { cert: options.cert, key: options.key })
    }
  }
}

/** Service account tokens are rotated in place: the file is read again once a minute, and after a 401. */
function tokenFile(path: string) {
  let token = ''
  let mtime = 0
  let checked = 0
  return async (refresh = false) => {
    if (token && !refresh && Date.now() - checked < tokenLifeMs) return token
    checked = Date.now()
    const changed = await stat(path).then(
      (info) => info.mtimeMs,
      () => 0
    )
    if (!token || refresh || changed !== mtime) token = (await readText(path, 'the token file')).trim()
    mtime = changed
    return token
  }
}

const decoded = (base64: string) => Buffer.from(base64, 'base64').toString('utf8')
const beside = (file: string, path: string) => resolve(dirname(file), path)

async function readText(path: string, what: string) {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new KubeConfigError(`${what} ${path} cannot be read: ${whyUnreadable(error)}`)
  })
}
