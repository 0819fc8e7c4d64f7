/**
 * `npm run conformance -- OPTIONS`: the same pods on any backend.
 *
 *   --backend NAME   process, slurm, htcondor or incus (of this machine), or a module such as ./backend.js; default: process
 *   --lab            slurm, slurm-ssh, htcondor, incus, incus-containers, incus-7 and incus-oci: on a private one that is started and ended
 *   --slurm PREFIX   with --lab: of the Slurm that was installed there, as by ./configure --prefix
 *   --config FILE    configuration of the plugin
 *   --url URL        instead of a backend: a plugin that runs already, http://host:port or unix:///path
 *   --token-file FILE, --image IMAGE   of that plugin: its bearer token; an image with a POSIX shell (host)
 *   --only TEXT      cases whose name has this text
 *   --parallel N     cases at the same time (6)
 *   --log FILE       for the log of the plugin and the API server
 *   --json           standard output is the line of counts alone
 */
import { resolve } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { attachTo, startSubject, subjectOf, UsageError, type Running } from './backends.ts'
import { cases } from './cases/index.ts'
import { judge, runCases, type Result } from './run-cases.ts'

const options = {
  backend: { type: 'string' },
  lab: { type: 'boolean', default: false },
  slurm: { type: 'string' },
  config: { type: 'string' },
  url: { type: 'string' },
  'token-file': { type: 'string' },
  image: { type: 'string', default: 'host' },
  json: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  log: { type: 'string' },
  parallel: { type: 'string', default: '6' }
} as const satisfies ParseArgsConfig['options']

/** What was asked for, with the plugin up. */
async function start() {
  const { values } = readArguments()
  const { url, config, slurm, only, image, log: logFile, 'token-file': tokenFile } = values
  const parallel = Number(values.parallel)
  if (!Number.isInteger(parallel) || parallel < 1)
    throw new UsageError(`--parallel: expected a number from 1 on, found "${values.parallel}"`)
  const chosen = cases.filter(({ name }) => name.includes(only))
  if (chosen.length === 0)
    throw new UsageError(`--only: none of the ${cases.length} cases has "${only}" in its name`)
  if (url !== undefined) {
    if (values.backend !== undefined || values.lab || config !== undefined)
      throw new UsageError('--url is a plugin that runs already; leave out --backend, --lab and --config')
    const running = await attachTo({ url, ...(tokenFile ? { tokenFile } : {}) }, { logFile })
    return { running, makings: { image }, chosen, parallel, json: values.json, declines: undefined }
  }
  if (tokenFile !== undefined) throw new UsageError('--token-file is of --url')
  const subject = await subjectOf(values.backend ?? 'process', values.lab)
  if (slurm !== undefined && !values.lab) throw new UsageError('--slurm is of --lab')
  const running = await startSubject(subject, { logFile, config, slurm: slurm && resolve(slurm) })
  const { declines } = subject
  const makings = running.makings ?? subject
  return { running, makings, chosen, parallel, json: values.json, declines }
}

function readArguments() {
  try {
    return parseArgs({ options })
  } catch (error) {
    const known = Object.keys(options).map((name) => `--${name}`)
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; options are ${known.join(', ')}`)
  }
}

const marks = { passed: '✓', failed: '✗', refused: '–', skipped: '·' } as const

async function run({
  running,
  makings,
  chosen,
  parallel,
  json,
  declines
}: Awaited<ReturnType<typeof start>>) {
  const out = json ? process.stderr : process.stdout
  const show = ({ name, outcome, detail, ms }: Result) => {
    out.write(`${marks[outcome]} ${name.padEnd(76)} ${(ms / 1000).toFixed(1).padStart(5)} s\n`)
    if (detail) out.write(`    ${detail.replaceAll('\n', '\n    ')}\n`)
  }
  const counts = { passed: 0, failed: 0, refused: 0, skipped: 0 }
  for await (const given of runCases(chosen, running.url, makings, parallel)) {
    const result = judge(given, declines)
    show(result)
    counts[result.outcome]++
  }
  return counts
}

let running: Running | undefined
try {
  const started = await start()
  running = started.running
  // Not killed outright: the private Slurm and its jobs are to end.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void running!.close().finally(() => process.exit(130)))
  const counts = await run(started)
  process.stdout.write(`${JSON.stringify(counts)}\n`)
  process.exitCode = counts.failed === 0 ? 0 : 1
} catch (error) {
  if (!(error instanceof Error) || !/^(UsageError|ConfigError|PluginError)$/.test(error.constructor.name))
    throw error
  process.stderr.write(`conformance: ${error.message}\n`)
  process.exitCode = 2
} finally {
  await running?.close()
}
process.exit()
