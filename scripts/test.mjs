// `npm test [-- FILE.ts …]`: installs what the tests need, runs them, and ends with a line of counts.
// REQUIRE_REAL=1: what cannot run on this machine fails instead of being skipped.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ensureApptainer } from './lib/apptainer.mjs'
import { ensureBuilt } from './lib/build.mjs'
import { ensureControlPlane } from './lib/control-plane.mjs'
import { ensureDebianPackages } from './lib/debian.mjs'
import { ensureDependencies } from './lib/dependencies.mjs'
import { filesBelow } from './lib/files.mjs'
import { main, root } from './lib/step.mjs'

const print = (text) => process.stdout.write(`${text}\n`)

await main(async () => {
  const required = process.env.REQUIRE_REAL === '1'
  await ensureDependencies()
  await ensureBuilt()
  await ensureDebianPackages({ required })
  await ensureApptainer({ required })
  await ensureControlPlane({ required })

  const chosen = process.argv.slice(2)
  const { code, report } = await runTap(chosen.length > 0 ? chosen : allTests())
  report.skips.forEach(({ name, reason }) => print(`skipped: ${name}: ${reason}`))
  report.failures.forEach(printFailure)
  print(report.line)
  process.exitCode = code || (report.failures.length > 0 ? 1 : 0)
})

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
  const artifacts = join(root, '.artifacts')
  mkdirSync(artifacts, { recursive: true })
  const raw = createWriteStream(join(artifacts, 'test.tap'))
  const report = new TapReport(({ ok, name, time, diag }) =>
    print(
      `${ok ? 'ok    ' : 'not ok'} ${diag?.expired ?? name}${time ? ` (${(time / 1000).toFixed(1)} s)` : ''}`
    )
  )
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
  return { code: signal ? 1 : code, report }
}

function printFailure({ name, details }) {
  print(`\nfailed: ${name}`)
  for (const detail of details) {
    for (const [key, value] of Object.entries(detail ?? {})) {
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      print(`  ${key}: ${text.trimEnd().replaceAll('\n', '\n    ')}`)
    }
  }
}
