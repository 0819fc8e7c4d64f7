import t from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { readJobState } from '../src/kit/jobs/job-state.ts'
import { writeAddress } from '../src/kit/jobs/mirrored-files.ts'
import { keepSent, logsHad } from '../src/kit/sites/sent-files.ts'
import { until } from './support-supervisor.ts'

const program = fileURLToPath(new URL('../assets/sites/send.sh', import.meta.url))
/** What the supervisor knows of states. */
const supervisor = await readFile(new URL('../assets/supervisor/state.sh', import.meta.url), 'utf8')

async function jobIn(dir: string, files: Record<string, string>): Promise<string> {
  for (const kind of ['state', 'log']) await mkdir(join(dir, kind), { recursive: true })
  for (const [path, text] of Object.entries(files)) await writeFile(join(dir, path), text)
  return dir
}

for (const shell of [['dash'], ['bash'], ['busybox', 'sh']] as const)
  t.test(`all that a job has written is sent once, and kept as it is: ${shell[0]}`, async (t) => {
    const from = await jobIn(t.testdir({ from: {} }) + '/from', {
      'state/supervisor': 'pid=1\n',
      'state/c.main': 'state=running\nmessage= ä\\n*\n',
      'log/main.0': 'ä'.repeat(200_000),
      'log/empty.0': ''
    })
    const to = join(t.testdirName, 'to')
    const had = await logsHad(to)
    const [command, ...args] = shell
    const env = { ...process.env, LC_ALL: 'C.UTF-8' }
    const sending = spawn(command, [...args, program, from, ...had], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env
    })
    const kept = keepSent(sending.stdout, to)
    const same = async (path: string) =>
      t.equal(await readFile(join(to, path), 'utf8'), await readFile(join(from, path), 'utf8'), path)
    await until(() => Promise.resolve(existsSync(join(to, 'state/c.main'))), 'the first state is here')
    await same('state/c.main')
    await same('log/main.0')
    await writeFile(join(from, 'state/c.main'), 'state=terminated\nwithout a newline')
    await writeFile(join(from, 'state/pod'), 'finished=1\n')
    t.equal(await kept, true, 'the end of the pod has come')
    for (const path of ['state/c.main', 'state/pod', 'log/main.0']) await same(path)
  })

t.test(
  'a state is sent when the supervisor says that there is one, however long the pause between two looks',
  async (t) => {
    const from = await jobIn(t.testdir({ bin: {} }) + '/from', { 'state/c.main': 'state=waiting\n' })
    const to = join(t.testdirName, 'to')
    await logsHad(to)
    const bin = join(t.testdirName, 'bin')
    await writeFile(join(bin, 'sleep'), '#!/bin/sh\nexec /bin/sleep 600\n', { mode: 0o755 })
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` }
    const sending = spawn('dash', [program, from], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
      detached: true
    })
    t.teardown(() => process.kill(-sending.pid!, 'SIGKILL'))
    const kept = keepSent(sending.stdout, to)
    await until(() => Promise.resolve(existsSync(join(to, 'state/c.main'))), 'the first state is here')
    await writeFile(join(from, 'state/c.main'), 'state=running\n')
    const tell = `${supervisor} DIR=$1; tell_sender`
    execFileSync('sh', ['-c', tell, 'sh', from])
    await until(
      async () => (await readFile(join(to, 'state/c.main'), 'utf8')) === 'state=running\n',
      'the next one is here'
    )
    await writeFile(join(from, 'state/pod'), 'finished=1\n')
    execFileSync('sh', ['-c', tell, 'sh', from])
    t.equal(await kept, true, 'and the end')
  }
)

t.test('what is there is sent without waiting for an end, and what was had is not kept twice', async (t) => {
  const from = await jobIn(join(t.testdir({}), 'from'), { 'state/c.main': 'a', 'log/main.0': 'onetwo' })
  const to = await jobIn(join(t.testdirName, 'to'), { 'log/main.0': 'one' })
  const sent = join(t.testdirName, 'sent')
  await writeFile(sent, execFileSync('sh', [program, from], { env: { ...process.env, INTERLINK_ONCE: '1' } }))
  t.equal(await keepSent(createReadStream(sent), to), false)
  t.equal(await readFile(join(to, 'log/main.0'), 'utf8'), 'onetwo')
})

t.test('the address of a job is there before its end is, and is an address', async (t) => {
  const dir = await jobIn(join(t.testdir({}), 'to'), {})
  const end = (): AsyncIterable<Buffer> => Readable.from([Buffer.from('state pod 11\nfinished=1\nend\n')])
  await t.rejects(
    keepSent(end(), dir, () => Promise.reject(new Error('not now'))),
    /not now/
  )
  t.notOk((await readJobState(dir)).finished)
  t.equal(await keepSent(end(), dir, () => writeAddress(dir, '2001:db8::7')), true)
  t.match(await readJobState(dir), { finished: { at: 1 }, podIP: '2001:db8::7' })
  await writeFile(join(dir, 'state/address'), 'ip=elsewhere\n')
  t.equal((await readJobState(dir)).podIP, undefined)
})

t.test('nothing but plain files of the job directory comes of what a job says', async (t) => {
  const to = await jobIn(join(t.testdir({}), 'to'), {})
  for (const words of [
    'state ../x 1\na',
    'state .x 1\na',
    'log a/b 0 1\na',
    'state a 9999999\n',
    'nonsense '.repeat(99)
  ])
    await t.rejects(keepSent(Readable.from([Buffer.from(words)]), to), /no word of a job/, words.slice(0, 20))
  t.same(await readdir(join(to, 'state')), [])
})
