import t from 'tap'
import type { Backend } from '../src/kit/backend.ts'
import { Orphans } from '../src/kit/jobs/orphans.ts'

t.test(
  'a plugin that has begun anew gives orphans their whole time again: it has not seen them before',
  async (t) => {
    let now = 0
    const ended: string[] = []
    const backend = {
      held: () => [{ uid: 'u', jobId: '12.0' }],
      abandon: async ({ jobId }: { readonly jobId: string }) => void ended.push(jobId)
    } as unknown as Backend
    const log = { debug() {}, info() {}, warn() {}, error() {} }
    const begin = () => new Orphans(backend, { policy: 'cancel', afterSeconds: 600 }, log, () => now)
    const first = begin()
    t.ok(await first.look(() => false))
    now = 599_000
    await first.look(() => false)
    const second = begin()
    await second.look(() => false)
    now = 1_198_000
    await second.look(() => false)
    t.same(ended, [], 'its directory may be on its way back, as where a file system is not mounted yet')
    now = 1_199_000
    await second.look(() => false)
    t.same(ended, ['12.0'])
  }
)
