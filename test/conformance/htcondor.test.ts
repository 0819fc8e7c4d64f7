import t from 'tap'
import { requireReal } from '../support/require-real.ts'
import { imagePoolMissing } from '../htcondor/image-pool.ts'
import { startSubject, subjectOf } from './backends.ts'
import { cases } from './cases/index.ts'
import { judge, runCases } from './run-cases.ts'

t.test(
  'conformance of htcondor on a private pool, with images of a private registry',
  { timeout: 600_000 },
  async (t) => {
    if (!requireReal(t, imagePoolMissing())) return
    const subject = await subjectOf('htcondor', true)
    const running = await startSubject(subject, {})
    t.teardown(() => running.close())
    for await (const given of runCases(cases, running.url, running.makings!, 4)) {
      const { name, outcome, detail } = judge(given, subject.declines)
      t.not(outcome, 'failed', `${name}: ${outcome}${outcome === 'failed' ? `: ${detail}` : ''}`)
    }
  }
)
