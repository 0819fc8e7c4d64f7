/** `npm run conformance -- --backend NAME [--json] [--only TEXT] [--log FILE]`: the same pods on any backend. */
import { parseArgs } from 'node:util'
import { startSubject, subjectOf } from './backends.ts'
import { cases } from './cases/index.ts'
import { runCases, type Result } from './run-cases.ts'

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'process' },
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    log: { type: 'string' },
    parallel: { type: 'string', default: '6' }
  }
})
const subject = await subjectOf(values.backend).catch((error: Error) => {
  process.stderr.write(`conformance: ${error.message}\n`)
  process.exit(2)
})
const chosen = cases.filter(({ name }) => name.includes(values.only))
const out = values.json ? process.stderr : process.stdout
const show = ({ name, outcome, detail, ms }: Result) => {
  out.write(`${marks[outcome]} ${name.padEnd(76)} ${(ms / 1000).toFixed(1).padStart(5)} s\n`)
  if (detail) out.write(`    ${detail.replaceAll('\n', '\n    ')}\n`)
}
const marks = { passed: '✓', failed: '✗', refused: '–', skipped: '·' } as const

const running = await startSubject(subject, values.log)
const counts = { passed: 0, failed: 0, refused: 0, skipped: 0 }
try {
  for await (const result of runCases(chosen, running.url, subject.image, Number(values.parallel))) {
    show(result)
    counts[result.outcome]++
  }
} finally {
  await running.close()
}
process.stdout.write(`${JSON.stringify(counts)}\n`)
process.exit(counts.failed === 0 && chosen.length > 0 ? 0 : 1)
