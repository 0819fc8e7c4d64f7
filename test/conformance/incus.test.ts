import t from 'tap'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import { requireReal } from '../support/require-real.ts'
import { startSubject, subjectOf } from './backends.ts'
import { cases } from './cases/index.ts'
import { judge, runCases } from './run-cases.ts'

for (const name of ['incus', 'incus-containers'])
  void t.test(`conformance of ${name}, on a private daemon`, { timeout: 600_000 }, async (t) => {
    if (!requireReal(t, incusMissing())) return
    const subject = await subjectOf(name, true)
    const running = await startSubject(subject, {})
    t.teardown(() => running.close())
    for await (const given of runCases(cases, running.url, running.makings!, 4)) {
      const { name, outcome, detail } = judge(given, subject.declines)
      t.not(outcome, 'failed', `${name}: ${outcome}${outcome === 'failed' ? `: ${detail}` : ''}`)
    }
  })
