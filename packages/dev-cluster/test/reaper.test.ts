import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { eventually } from '../src/support/eventually.ts'

const typescript = fileURLToPath(new URL('../../../scripts/lib/typescript.mjs', import.meta.url))
const program = `
  const { spawnReaped, temporaryDirectory } = await import('${new URL('../src/support/reaper.ts', import.meta.url)}')
  const ended = spawnReaped('true', [])
  await new Promise((resolve) => ended.once('exit', resolve))
  const child = spawnReaped('sh', ['-c', 'trap "" TERM; sleep 1000 & wait'], { stdio: 'ignore' })
  console.log(JSON.stringify({ pid: child.pid, path: temporaryDirectory().path }))
  setInterval(() => {}, 1000)`

t.test('what a test started does not outlive it, even where the test is killed', async (t) => {
  const test = spawn(process.execPath, ['--import', typescript, '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [line] = (await once(test.stdout, 'data')) as [Buffer]
  const { pid, path } = JSON.parse(line.toString()) as { pid: number; path: string }
  const groupLives = (): boolean => {
    try {
      return process.kill(-pid, 0)
    } catch {
      return false
    }
  }
  t.ok(groupLives())
  t.ok(existsSync(path))
  test.kill('SIGKILL')
  await eventually(() => !groupLives() && !existsSync(path))
})
