import t from 'tap'
import { requireReal } from '../support/require-real.ts'
import { slurms, slurmUnprepared } from '../slurm/each-slurm.ts'
import { imageLabMissing } from '../slurm/image-lab.ts'
import { startSubject, subjectOf } from './backends.ts'
import { cases } from './cases/index.ts'
import { judge, runCases } from './run-cases.ts'

/** What differs where the job directory has to travel; the rest is the same code and the same machine. */
const travelling =
  /files of a ConfigMap|emptyDir is shared|hardened|hostile|values of the environment|init containers run|liveness|postStart|sent TERM|OOMKilled|log is followed|attempt before|twice|watch tells|refused, each|^streams/

for (const { name: slurm, prefix } of slurms)
  for (const [backend, chosen] of [
    ['slurm', cases],
    ['slurm-ssh', cases.filter(({ name }) => travelling.test(name))]
  ] as const)
    t.test(
      `conformance of ${backend} on ${slurm}, with images of a private registry`,
      { timeout: 600_000 },
      async (t) => {
        if (!requireReal(t, slurmUnprepared(prefix) ?? imageLabMissing(true, prefix))) return
        const subject = await subjectOf(backend, true)
        const running = await startSubject(subject, { slurm: prefix })
        t.teardown(() => running.close())
        for await (const given of runCases(chosen, running.url, running.makings!, 4)) {
          const { name, outcome, detail } = judge(given, subject.declines)
          t.not(outcome, 'failed', `${name}: ${outcome}${outcome === 'failed' ? `: ${detail}` : ''}`)
        }
      }
    )
