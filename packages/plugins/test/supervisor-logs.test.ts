import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openLog } from '../src/kit/jobs/log-reader.ts'
import { isAlone, startJob, worlds } from './support-supervisor.ts'

const all = await worlds(t)
const RECORD = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [PF] /

async function whole(dir: string, container: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of await openLog({ dir, container, isRunning: () => false }))
    chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

t.test(
  'each line of both streams is a record with its time, long ones in parts, and none is lost at the end',
  async (t) => {
    await Promise.all(
      all.map(async (world) => {
        const before = Date.now()
        const job = await startJob(t, world, {
          containers: [
            { name: 'both', run: 'for i in 1 2 3; do echo "out $i"; echo "err $i" >&2; done' },
            {
              name: 'long',
              run: ['/usr/bin/perl', '-e', 'print "a" x 40000, "\\n", "b" x 16384, "\\nend\\n"']
            },
            { name: 'many', run: 'seq 1 20000; seq 1 20000 >&2' },
            { name: 'open', run: 'printf "no newline"' },
            { name: 'later', run: 'echo one; sleep 0.4; echo two' }
          ]
        })
        t.equal(await job.ended, 0, world.name)
        for (const name of ['both', 'long', 'many', 'open', 'later']) {
          const lines = (await job.log(name)).split('\n').slice(0, -1)
          const wrong = lines.filter((line) => !RECORD.test(line))
          t.same(wrong.slice(0, 3), [], `${world.name}: ${name}`)
          t.ok(lines.every((line) => line.length < 16384 + 50))
        }
        const stream = async (name: string, of: string) =>
          (await job.log(name))
            .split('\n')
            .filter((line) => line.split(' ')[1] === of)
            .map((line) => line.split(' ').slice(3).join(' '))
        t.same(await stream('both', 'stdout'), ['out 1', 'out 2', 'out 3'])
        t.same(await stream('both', 'stderr'), ['err 1', 'err 2', 'err 3'])
        const numbers = Array.from({ length: 20_000 }, (_, index) => String(index + 1))
        t.same(await stream('many', 'stdout'), numbers)
        t.same(await stream('many', 'stderr'), numbers)
        t.equal(
          (await whole(job.dir, 'long')).toString(),
          `${'a'.repeat(40_000)}\n${'b'.repeat(16_384)}\nend\n`
        )
        t.equal((await whole(job.dir, 'open')).toString(), isAlone(world) ? 'no newline\n' : 'no newline')
        const times = (await job.log('later'))
          .split('\n')
          .slice(0, 2)
          .map((line) => Date.parse(line.split(' ')[0] ?? ''))
        t.ok((times[0] ?? 0) >= before - 1000 && (times[1] ?? 0) <= Date.now() + 1000, 'times of this clock')
        t.ok((times[1] ?? 0) - (times[0] ?? 0) >= 300, 'times of each line, not of the end')
      })
    )
  }
)

t.test('any byte survives where there is perl', async (t) => {
  const bytes = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256))
  await Promise.all(
    all
      .filter((world) => !isAlone(world))
      .map(async (world) => {
        const print = "/usr/bin/perl -e 'print map { chr($_ % 256) } 0 .. 511'"
        // 3 MB and no newline.
        const endless = `/usr/bin/perl -e 'print map { chr(128 + $_ % 128) x 3000 } 0 .. 999'`
        const job = await startJob(t, world, {
          containers: [
            { name: 'c', run: print },
            { name: 'endless', run: endless }
          ]
        })
        await job.ended
        t.same(await whole(job.dir, 'c'), bytes, world.name)
        const expected = Buffer.concat(
          Array.from({ length: 1000 }, (_, index) => Buffer.alloc(3000, 128 + (index % 128)))
        )
        t.ok((await whole(job.dir, 'endless')).equals(expected), `${world.name}: one line of 3 MB`)
        t.ok((await readFile(join(job.dir, 'state/pod'), 'utf8')).startsWith('finished='))
      })
  )
})
