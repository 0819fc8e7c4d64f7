import type { Away, Query, Remotes } from './remotes.ts'
import type { Scope } from './scope.ts'
import { requireProject } from './instances.ts'

interface OperationRecord {
  readonly id: string
  /** `token` is none that runs: it waits for somebody to come with it. */
  readonly class?: string
  readonly description: string
  readonly status: string
  readonly created_at: string
  readonly may_cancel: boolean
  readonly resources?: Readonly<Record<string, readonly string[] | null>> | null
  readonly metadata?: Readonly<Record<string, unknown>> | null
}

export interface LabOperation {
  readonly remote: string
  readonly id: string
  readonly description: string
  readonly status: string
  /** Of the instance, image or volume. */
  readonly target: string
  /** In the words of Incus, such as `rootfs: 34% (5.20MB/s)`. */
  readonly progress?: string
  readonly createdAt: string
}

/** What remotes are doing now. */
export async function listOperations(
  remotes: Remotes,
  { remote, project }: Scope
): Promise<{ readonly operations: readonly LabOperation[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (server) => {
    if (remote !== undefined && project !== undefined) await requireProject(server, project)
    const of: Query = project === undefined ? { 'all-projects': true } : { project }
    const byState = await server.get<Record<string, readonly OperationRecord[]>>('/1.0/operations', {
      recursion: 1,
      ...of
    })
    return Object.values(byState)
      .flat()
      .filter((record) => record.class !== 'token')
      .map((record) => describeOperation(server.remote, record))
  })
  return { operations: found.flat().sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1)), away }
}

export function describeOperation(
  remote: string,
  { id, description, status, created_at: createdAt, resources, metadata }: OperationRecord
): LabOperation {
  const progress = Object.entries(metadata ?? {}).find(
    ([key, value]) => key.endsWith('_progress') && typeof value === 'string'
  )?.[1] as string | undefined
  const targets = Object.values(resources ?? {}).flatMap((paths) => paths ?? [])
  return {
    remote,
    id,
    description,
    status,
    target: targets
      .map((path) => decodeURIComponent(path.replace(/\?.*$/, '').split('/').at(-1)!))
      .join(', '),
    ...(progress === undefined ? {} : { progress }),
    createdAt
  }
}
