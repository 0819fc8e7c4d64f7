import t from 'tap'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../../../test/support/eventually.ts'
import { readJobState, type JobState } from '../src/kit/jobs/job-state.ts'
import { StateFeed } from '../src/kit/jobs/state-feed.ts'

/** inotify watches of this process, as the kernel counts them: proc_pid_fdinfo(5). */
async function watches(): Promise<number> {
  const files = await readdir('/proc/self/fdinfo')
  const texts = await Promise.all(
    files.map((name) => readFile(join('/proc/self/fdinfo', name), 'utf8').catch(() => ''))
  )
  return texts.join('').split('\ninotify wd:').length - 1
}

t.test('of thousands of jobs, those that wait for their turn hold no inotify watch', async (t) => {
  const root = t.testdir()
  const states = new Map<string, JobState>()
  const feed = new StateFeed({
    read: readJobState,
    now: Date.now,
    onState: (uid, state) => states.set(uid, state),
    onError: (uid, error) => t.fail(`${uid}: ${String(error)}`)
  })
  t.teardown(() => feed.close())
  const before = await watches()
  const uids = Array.from({ length: 1100 }, (_, index) => `job-${index}`)
  for (const uid of uids) {
    await mkdir(join(root, uid, 'state'), { recursive: true })
    feed.follow(uid, join(root, uid))
  }
  await eventually(() => states.size === uids.length)
  t.equal((await watches()) - before, uids.length)

  for (const uid of uids.slice(1)) feed.rest(uid)
  t.equal((await watches()) - before, 1, 'but for the one that does not wait')

  const [, begun] = uids
  feed.hurry(begun!)
  await eventually(async () => (await watches()) - before === 2)
  await writeFile(join(root, begun!, 'state/c.main'), 'state=running\nstarted=1\n')
  await eventually(() => states.get(begun!)?.containers.get('main')?.state === 'running')
})
