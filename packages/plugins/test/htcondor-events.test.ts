import t from 'tap'
import { appendFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EventFiles, localFolder } from '../src/htcondor/event-files.ts'
import { afterEvent, parseEvents } from '../src/htcondor/event-log.ts'
import { JobTable } from '../src/htcondor/job-table.ts'
import { compareJobIds, isJobId, ofJob, parseJobIds, parseJobs } from '../src/htcondor/commands.ts'
import { jobStatus, type CondorJob } from '../src/htcondor/states.ts'

/** As HTCondor 23.9 writes them. */
const event = (code: string, id: string, title: string, ...lines: string[]) =>
  `${code} (${id}.000.000) 2026-11-22 06:25:58 ${title}\n${lines.map((line) => `\t${line}\n`).join('')}...\n`
const executing = (id: string) =>
  event('001', id, 'Job executing on host: <127.0.0.1:1>', 'SlotName: slot1_1@n1')
const job = (more: Partial<CondorJob> = {}): CondorJob => ({
  jobId: '12.0',
  status: jobStatus.idle,
  uid: 'u',
  mark: 'm',
  starts: 0,
  ...more
})
const after = (text: string, from = job()) => parseEvents(text).events.reduce(afterEvent, from)

t.test('each event leads a job on', async (t) => {
  t.match(after(executing('012')), {
    status: jobStatus.running,
    host: 'slot1_1@n1',
    address: '127.0.0.1',
    starts: 1
  })
  t.match(after(executing('012') + event('004', '012', 'Job was evicted.', '(0) CPU times')), {
    status: jobStatus.idle,
    starts: 1
  })
  t.match(after(event('005', '012', 'Job terminated.', '(1) Normal termination (return value 3)')), {
    status: jobStatus.completed,
    exitCode: 3,
    hasLeft: true
  })
  t.match(after(event('005', '012', 'Job terminated.', '(0) Abnormal termination (signal 9)')), {
    exitSignal: 9
  })
  t.match(after(event('009', '012', 'Job was aborted.', 'via condor_rm (by user x)')), {
    status: jobStatus.removed,
    removeReason: 'via condor_rm (by user x)',
    hasLeft: true
  })
  const held = after(event('012', '012', 'Job was held.', 'memory is over', 'Code 34 Subcode 102'))
  t.match(held, { status: jobStatus.held, holdCode: 34, holdSubcode: 102, holdReason: 'memory is over' })
  t.same(after(event('013', '012', 'Job was released.', 'via condor_release'), held), job())
  t.match(after(event('010', '012', 'Job was suspended.'), job({ status: 2 })), {
    status: jobStatus.suspended
  })
  t.match(after(event('011', '012', 'Job was unsuspended.')), { status: jobStatus.running })
  t.match(after(event('024', '012', 'Job reconnection failed', 'lease expired')), {
    status: jobStatus.idle,
    vacateReason: 'Job reconnection failed lease expired'
  })
  const coming = after(event('040', '012', 'Started transferring input files'))
  t.match(coming, { status: jobStatus.running, isTransferring: true })
  t.match(after(event('040', '012', 'Finished transferring input files'), coming), { isTransferring: false })
  t.same(after(event('006', '012', 'Image size of job updated: 125')), job())
})

t.test('an event that has not ended waits for its end, and what is none is passed over', async (t) => {
  const text = executing('12')
  const { events, rest } = parseEvents(`nonsense\n...\n${text}${text.slice(0, 40)}`)
  t.equal(events.length, 1)
  t.equal(rest, text.slice(0, 40))
  t.same(parseEvents('').events, [])
})

t.test(
  'a log is read from where it was left, across days, and pruned when no job writes there any more',
  async (t) => {
    const root = t.testdir()
    const now = Date.UTC(2026, 10, 22, 12)
    const files = new EventFiles(localFolder(root), () => now)
    t.same(await files.read(), [], 'there is none yet')
    t.equal(await files.path(), join(root, '.events', '2026-11-22'))
    const path = (day: string) => join(root, '.events', day)
    await writeFile(path('2026-11-19'), executing('1'))
    const text = executing('2')
    await writeFile(path('2026-11-22'), text.slice(0, 30))
    t.same(
      (await files.read()).map(({ jobId }) => jobId),
      ['1.0']
    )
    await appendFile(path('2026-11-22'), text.slice(30) + executing('3'))
    t.same(
      (await files.read()).map(({ jobId }) => jobId),
      ['2.0', '3.0']
    )
    t.same(await files.read(), [])
    await files.prune(Date.UTC(2026, 10, 20))
    t.same(
      await readdir(join(root, '.events')),
      ['2026-11-19', '2026-11-22'],
      'a job of the day after may write there'
    )
    await files.prune(undefined)
    t.same(await readdir(join(root, '.events')), ['2026-11-22'])
  }
)

interface Bench {
  readonly table: JobTable
  readonly asked: { queue: number; history: string[][] }
  tell(text: string): Promise<void>
  look(...ids: string[]): Promise<void>
}

async function tableOf(
  root: string,
  queue: CondorJob[],
  history: CondorJob[] = [],
  begun = false
): Promise<Bench> {
  const asked: Bench['asked'] = { queue: 0, history: [] }
  await mkdir(join(root, '.events'))
  const table = new JobTable(
    {
      queue: async () => (asked.queue++, queue),
      history: async (ids) => (
        asked.history.push([...ids]),
        history.filter(({ jobId }) => ids.includes(jobId))
      )
    },
    new EventFiles(localFolder(root)),
    { everyMs: 60_000 }
  )
  return {
    table,
    asked,
    tell: (text) => appendFile(join(root, '.events', '2026-11-22'), text),
    look: (...ids) => table.look(ids, () => begun)
  }
}

t.test('what the event log tells needs no question to the queue', async (t) => {
  const { table, asked, tell, look } = await tableOf(t.testdir(), [job()])
  await look('12.0')
  t.equal(table.get('12.0')?.status, jobStatus.idle)
  await tell(executing('12'))
  await look('12.0')
  t.equal(table.get('12.0')?.status, jobStatus.running)
  table.add(job({ jobId: '13.0', queuedAt: Date.now() }))
  await tell(event('005', '12', 'Job terminated.', '(1) Normal termination (return value 0)'))
  await look('12.0', '13.0')
  t.match(table.get('12.0'), { status: jobStatus.completed, hasLeft: true })
  t.equal(table.get('13.0')?.status, jobStatus.idle)
  t.same(asked, { queue: 1, history: [] })
  await tell(executing('99'))
  await look('12.0', '13.0')
  t.equal(table.get('99.0'), undefined, 'events of jobs that are nobody’s are passed over')
})

t.test('what the event log has told since is known by job', async (t) => {
  const { table, asked, tell, look } = await tableOf(t.testdir(), [job(), job({ jobId: '12.1', uid: 'v' })])
  await look('12.0', '12.1')
  await tell(executing('12').replace('(12.000.000)', '(12.001.000)') + executing('99'))
  t.match(await table.readEvents(), [{ jobId: '12.1', uid: 'v', status: jobStatus.running }])
  t.same(await table.readEvents(), [])
  t.equal(table.get('12.0')?.status, jobStatus.idle)
  t.equal(asked.queue, 1)
})

t.test('a job that waits here while its supervisor runs already is asked for', async (t) => {
  const { asked, look } = await tableOf(t.testdir(), [job()], [], true)
  await look('12.0')
  await look('12.0')
  t.equal(asked.queue, 2)
})

t.test(
  'a job that has left the queue without a word is looked for in the history, and then given up',
  async (t) => {
    const gone = job({ jobId: '14.0', status: jobStatus.completed, hasLeft: true })
    const { table, asked, look } = await tableOf(t.testdir(), [], [gone])
    await look('14.0', '15.0')
    t.match(table.get('14.0'), { hasLeft: true })
    t.equal(table.get('15.0'), undefined)
    t.ok(table.isPending('15.0'))
    await look('14.0', '15.0')
    t.same(asked.history, [['14.0', '15.0'], ['15.0']])
  }
)

t.test('a job is one of its cluster', async (t) => {
  const text = executing('12').replace('(12.000.000)', '(12.011.000)')
  t.equal(parseEvents(text).events[0]?.jobId, '12.11')
  t.equal(ofJob('12.11'), '(ClusterId == 12 && ProcId == 11)')
  t.equal(ofJob('12'), '(ClusterId == 12 && ProcId == 0)', 'of a job that was kept without it')
  t.same(['12.10', '12.9', '9.11'].sort(compareJobIds), ['9.11', '12.9', '12.10'])
  t.notOk(isJobId('ended-12'))
})

t.test('answers of the clients are read as they are', async (t) => {
  t.same(parseJobIds('12.0 - 12.0\n'), ['12.0'])
  t.same(parseJobIds('12.0 - 12.2\n'), ['12.0', '12.1', '12.2'])
  t.same(parseJobIds('Submitting job(s).\n'), [])
  t.same(parseJobs(''), [], 'of no job condor_q prints nothing')
  t.same(parseJobs('[\n]\n'), [])
  const ad = {
    ClusterId: 7,
    ProcId: 2,
    JobStatus: 5,
    InterLinkPodUID: 'u',
    InterLinkRoot: 'm',
    HoldReasonCode: 26,
    HoldReasonSubCode: 1,
    HoldReason: 'a\nb',
    QDate: 5,
    RemoteHost: '/Expr(x)/'
  }
  t.same(parseJobs(JSON.stringify([ad, { Junk: true }])), [
    {
      jobId: '7.2',
      status: 5,
      uid: 'u',
      mark: 'm',
      starts: 0,
      holdCode: 26,
      holdSubcode: 1,
      holdReason: 'a b',
      queuedAt: 5000
    }
  ])
  t.throws(() => parseJobs('{}'), /not known/)
})
