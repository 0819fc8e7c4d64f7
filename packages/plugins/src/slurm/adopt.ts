/**
 * Jobs that the reference's Slurm plugin has left: its directories `<namespace>-<uid>` become ones of this plugin, and
 * what its jobs go on writing there is carried over.
 */
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { Type, type Static } from 'typebox'
import { ConfigError } from '@interlink-ts/interlink-api/config'
import type { BackendContext } from '../kit/backend.ts'
import { exists, flushDirectory, writeDurable } from '../kit/jobs/durable-file.ts'
import { jobDirectory, writeIntent, writePlan, writeSubmission } from '../kit/jobs/job-directory.ts'
import type { Plan, PlannedContainer } from '../kit/plan/plan.ts'
import { toldContainer } from '../kit/plan/scripted.ts'

export const AdoptOptions = Type.Object(
  {
    directory: Type.String({ pattern: '^/', description: 'DataRootFolder of the reference’s plugin' }),
    node: Type.String({ minLength: 1, description: 'name of the node that its pods are bound to' })
  },
  { additionalProperties: false, description: 'jobs of the reference’s plugin to be taken over' }
)
export type AdoptOptions = Static<typeof AdoptOptions>

/** In a job directory that was made for one of the reference's: `{"from"}`. */
export const adoptedFile = 'adopted.json'
const uidShape = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
/** In the script of a job: `runInitCtn|runCtn <container> <command>`. */
const startLine = /^\s*run(Init)?Ctn\s+([a-z0-9][-a-z0-9]*)\s/gm
const outputFile = /^(init|run)-([a-z0-9][-a-z0-9]*)\.(?:out|status)$/

/** Makes a job directory for each of the reference's that has none yet; what is none of a job is left alone. */
export async function adoptAll(
  { directory, node }: AdoptOptions,
  { root, log }: BackendContext,
  remote?: string
): Promise<void> {
  if (remote !== undefined)
    throw new ConfigError(
      'options.adopt: jobs behind SSH are adopted only with a shared file system; leave out ssh.directory',
      { field: 'options.adopt' }
    )
  const refuse = (reason: string) =>
    new ConfigError(`options.adopt.directory: ${directory} ${reason}`, { field: 'options.adopt.directory' })
  if (relative(directory, root) === '')
    throw refuse('is the root of this plugin too; give it a root of its own')
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: Error) => {
    throw refuse(`cannot be read: ${error.message}`)
  })
  for (const entry of entries.filter((each) => each.isDirectory())) {
    const from = join(directory, entry.name)
    try {
      const uid = await adopt(from, root, node)
      if (uid !== undefined) log.info({ uid, from }, 'a job of the reference has been adopted')
    } catch (err) {
      log.warn({ from, err }, 'a job directory of the reference cannot be adopted and is left alone')
    }
  }
}

/** Resolves with the UID, or undefined where there is nothing to do. */
async function adopt(from: string, root: string, node: string): Promise<string | undefined> {
  const [jobId, uid, namespace] = await Promise.all(
    ['JobID.jid', 'PodUID.uid', 'PodNamespace.ns'].map((name) => word(join(from, name)))
  )
  // Never submitted.
  if (jobId === undefined) return undefined
  if (!/^\d+$/.test(jobId)) throw new Error('JobID.jid holds no job id')
  if (uid === undefined || !uidShape.test(uid)) throw new Error('PodUID.uid holds no UID')
  if (namespace === undefined || !label.test(namespace)) throw new Error('PodNamespace.ns holds no namespace')
  const dir = jobDirectory(root, namespace, uid)
  if (await exists(dir)) return undefined
  const containers = await containersOf(from)
  if (!containers.some(({ kind }) => kind === 'main')) throw new Error('it says of no container')
  const at = Math.round((await stat(join(from, 'JobID.jid'))).mtimeMs)
  const staged = join(root, `.adopting-${namespace}-${uid}`)
  await rm(staged, { recursive: true, force: true })
  for (const name of ['state', 'log']) await mkdir(join(staged, name), { recursive: true, mode: 0o700 })
  await writePlan(staged, planFor({ uid, namespace, node, containers }))
  await writeIntent(staged, { uid, attempt: 0, at })
  await writeSubmission(staged, { uid, jobId, at })
  await writeDurable(join(staged, adoptedFile), JSON.stringify({ from }))
  await rename(staged, dir)
  await flushDirectory(root)
  return uid
}

/** In the order in which they start; of a job with a script of its own, those that have said something. */
async function containersOf(from: string): Promise<PlannedContainer[]> {
  const script = await readFile(join(from, 'job.sh'), 'utf8').catch(() => '')
  const started = [...script.matchAll(startLine)].map(
    ([, init, name]) => [init ? 'init' : 'main', name!] as const
  )
  const found = (await readdir(from)).flatMap((file) => {
    const match = outputFile.exec(file)
    return match ? [[match[1] === 'init' ? 'init' : 'main', match[2]!] as const] : []
  })
  const kinds = new Map([...found, ...started].map(([kind, name]) => [name, kind]))
  const names = new Set([...started, ...found].map(([, name]) => name))
  // What nobody knows any more is empty: the plan is only reported from, never run.
  return [...names].map((name) => toldContainer({ name, kind: kinds.get(name)!, image: '' }))
}

function planFor(of: {
  readonly uid: string
  readonly namespace: string
  readonly node: string
  readonly containers: readonly PlannedContainer[]
}): Plan {
  const { uid, namespace, node, containers } = of
  return {
    version: 1,
    // Its name is in no file; it is known by its UID.
    pod: { uid, name: uid, namespace, nodeName: node, hostname: '', labels: {}, annotations: {} },
    restartPolicy: 'Never',
    graceSeconds: 30,
    containers,
    volumes: [],
    hosts: [],
    resources: { cpuMillis: 0, memoryBytes: 0, ephemeralBytes: 0, extended: {} },
    notices: []
  }
}

/** The content without blanks around it; undefined where there is none. */
export const word = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').then(
    (text) => text.trim() || undefined,
    () => undefined
  )
