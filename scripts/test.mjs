// `npm test [-- FILE.ts …]`: installs what the tests need, runs them, and ends with a line of counts.
// REQUIRE_REAL=1: what cannot run on this machine fails instead of being skipped.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ensureApptainer } from './lib/apptainer.mjs'
import { ensureBuilt } from './lib/build.mjs'
import { ensureControlPlane } from './lib/control-plane.mjs'
import { ensureDebianPackages } from './lib/debian.mjs'
import { ensureDependencies } from './lib/dependencies.mjs'
import { filesBelow } from './lib/files.mjs'
import { ensureHtcondor } from './lib/htcondor.mjs'
import { ensureIncus, ensureSecondIncus } from './lib/incus.mjs'
import { ensureSecondSlurm } from './lib/second-slurm.mjs'
import { main, root } from './lib/step.mjs'
import { ensureVenv } from './lib/venv.mjs'

/** More files than this that fail are no accident of a busy machine. */
const AGAIN_AT_MOST = 8

/** The TAP of everything that ran. */
const record = join(root, '.artifacts/test.tap')

const print = (text) => process.stdout.write(`${text}\n`)

await main(async () => {
  const required = process.env.REQUIRE_REAL === '1'
  await ensureDependencies()
  await ensureBuilt()
  await ensureDebianPackages({ required })
  await ensureApptainer({ required })
  await ensureSecondSlurm({ required })
  await ensureHtcondor({ required })
  for (const program of ['jupyterlab', 'dask']) await ensureVenv(program, { required })
  await ensureIncus({ required })
  await ensureSecondIncus({ required })
  await ensureControlPlane({ required })

  mkdirSync(dirname(record), { recursive: true })
  rmSync(record, { force: true })
  const chosen = process.argv.slice(2)
  const reports = await runTap(chosen.length > 0 ? chosen : allTests())
  const failed = [...reports].filter(([, { failures }]) => failures.length > 0).map(([file]) => file)
  const unsteady = failed.length <= AGAIN_AT_MOST ? await runAgain(failed, reports) : []
  const all = [...reports.values()]
  const skips = all.flatMap(({ skips }) => skips)
  const failures = all.flatMap(({ failures }) => failures)
  skips.forEach(({ name, reason }) => print(`skipped: ${name}: ${reason}`))
  unsteady.forEach(({ name }) => print(`unsteady: ${name}: failed beside other tests, passed alone`))
  failures.forEach((failure) => printFailure(failure, 'not ok'))
  const passed = all.reduce((sum, report) => sum + report.passed, 0)
  print(`${passed} passed, ${failures.length} failed, ${skips.length} skipped`)
  process.exitCode = failures.length > 0 ? 1 : 0
})

/**
 * A few files that failed run once more, one at a time: on a machine as busy as this run makes it, a deadline of
 * a real cluster can pass. What passes only then is told by name, so that it gets mended.
 */
async function runAgain(failed, reports) {
  const unsteady = []
  for (const file of failed.filter((name) => existsSync(join(root, name)))) {
    print(`once more, alone: ${file}`)
    const again = (await runTap([file])).get(file)
    if (again?.failures.length === 0) unsteady.push(...reports.get(file).failures)
    if (again) reports.set(file, again)
  }
  return unsteady
}

/** The long ones first, so that no single one is left running at the end. */
function allTests() {
  return ['test', 'packages'].flatMap((directory) =>
    filesBelow(join(root, directory))
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => join(directory, file))
      .sort()
  )
}

async function runTap(files) {
  // tap-parser is there only once the packages are installed.
  const { TapReport } = await import('./lib/tap-report.mjs')
  const raw = createWriteStream(record, { flags: 'a' })
  const report = new TapReport(({ ok, name, time, diag }, { failures }) => {
    print(
      `${ok ? 'ok    ' : 'failed'} ${diag?.expired ?? name}${time ? ` (${(time / 1000).toFixed(1)} s)` : ''}`
    )
    failures.forEach((failure) => printFailure(failure, '  '))
  })
  const tap = spawn(
    process.execPath,
    [join(root, 'node_modules/tap/dist/esm/run.mjs'), 'run', '--reporter=tap', '--jobs=2', ...files],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] }
  )
  // A run that is stopped from outside still says what it knows.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => tap.kill(signal))
  tap.stdout.setEncoding('utf8').on('data', (text) => {
    raw.write(text)
    report.write(text)
  })
  const [code, signal] = await once(tap, 'close')
  report.end()
  raw.end()
  if (code !== 0 && ![...report.files.values()].some(({ failures }) => failures.length > 0))
    report.files.set('the run', {
      passed: 0,
      failures: [{ name: `the runner ended with ${signal ?? code}`, details: [] }],
      skips: []
    })
  return report.files
}

function printFailure({ name, details }, mark) {
  print(`${mark} ${name}`)
  for (const detail of details) {
    for (const [key, value] of Object.entries(detail ?? {})) {
      if (key === 'source') continue
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      print(`    ${key}: ${text.trimEnd().replaceAll('\n', '\n      ')}`)
    }
  }
}
