import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { retrievedPodData } from '@interlink-ts/interlink-api/server'
import {
  compile,
  describePlan,
  explainRefusals,
  redactPlan,
  renderJob,
  type Plan,
  type SitePolicy
} from '@interlink-ts/plugins/kit'
import { collectTokens, createRequest, tokenKey } from '@interlink-ts/vk-core/model'
import { idleBackend } from '../backends.ts'
import { withPlaceholders } from '../claim-placeholders.ts'
import { UsageError } from '../errors.ts'
import { readInput, readManifests, type Manifests } from '../read-pod.ts'

interface RenderOptions {
  readonly backend: string
  readonly config?: string
  readonly node: string
  readonly showValues?: boolean
  readonly output: 'text' | 'json'
}

/** `interlink render`: the plan and the scripts a pod would become. Nothing is run, nothing is written. */
export async function render(file: string, options: RenderOptions): Promise<void> {
  const manifests = readManifests(await readInput(file), file)
  const idle = await idleBackend(options.backend, { config: options.config, root: '/jobs' })
  try {
    await show(manifests, file, options, idle)
  } finally {
    await idle.backend.close?.()
  }
}

async function show(
  manifests: Manifests,
  file: string,
  options: RenderOptions,
  { backend, policy }: Awaited<ReturnType<typeof idleBackend>>
): Promise<void> {
  const { pod, note } = withPlaceholders(manifests.pod)
  const plan = planOf({ ...manifests, pod }, { file, node: options.node, policy })
  const dir = join('/', 'jobs', `${plan.pod.namespace}-${plan.pod.uid}`)
  const rendered = await backend.render(plan, dir)
  const refusals = 'refusals' in rendered ? rendered.refusals : []
  const files =
    'launches' in rendered
      ? renderJob(plan, rendered.launches, rendered.seenAs ?? dir, { inherit: rendered.inherit ?? [] }).files
      : []
  const shown = 'launches' in rendered ? (rendered.shown ?? []) : []
  const notices = [
    ...(note === undefined ? [] : [{ reason: 'ResourceClaims', message: note }]),
    ...plan.notices,
    ...('notices' in rendered ? rendered.notices : [])
  ]

  if (options.output === 'json')
    process.stdout.write(
      `${JSON.stringify({ plan: options.showValues ? plan : redactPlan(plan), notices, refusals, shown, files: options.showValues ? files : files.filter(({ mode }) => mode !== 0o600) }, null, 2)}\n`
    )
  else {
    process.stdout.write(describePlan({ ...plan, notices }, { showValues: options.showValues ?? false }))
    for (const { title, text } of shown) process.stdout.write(`\n--- ${title}\n${text}`)
    for (const { path, mode, text } of files)
      process.stdout.write(
        `\n--- ${path} (${mode.toString(8)})\n${mode === 0o600 && !options.showValues ? `${text.length} bytes; shown by --show-values\n` : text}`
      )
  }
  if (refusals.length === 0) return
  process.stderr.write(
    `the ${backend.name} backend of this machine would refuse it: ${explainRefusals(refusals)}\n`
  )
  process.exitCode = 1
}

/** What the node, the API server and the plugin's compiler make of the pod, in that order. */
function planOf(
  { pod, configMaps, secrets }: Manifests,
  { file, node, policy }: { readonly file: string; readonly node: string; readonly policy: SitePolicy }
): Plan {
  const placed: Pod = {
    ...pod,
    metadata: {
      namespace: 'default',
      ...withoutUndefined(pod.metadata),
      uid: pod.metadata.uid ?? randomUUID()
    },
    spec: { ...pod.spec, nodeName: node }
  }
  const byName = <T extends { metadata: { name?: string } }>(objects: readonly T[]) =>
    new Map(objects.map((object) => [object.metadata.name ?? '', object]))
  const { request, missing } = createRequest({
    pod: placed,
    addresses: { hostIP: '127.0.0.1', podIP: '127.0.0.1' },
    allocatable: {},
    configMaps: byName(configMaps),
    secrets: byName(secrets),
    tokens: new Map(collectTokens(placed).map((wish) => [tokenKey(wish), 'the-token-of-the-service-account']))
  })
  if (!request)
    throw new UsageError(
      `${file}: the pod needs ${missing.map(({ kind, name, key }) => `${kind} ${name}${key ? ` key ${key}` : ''}`).join(', ')}; put it into the same file`
    )
  const compiled = compile(retrievedPodData(request), policy)
  if ('refusals' in compiled) throw new UsageError(`${file}: ${explainRefusals(compiled.refusals)}`)
  return compiled.plan
}

const withoutUndefined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T
