/** A broker that binds and releases without end, and says each answer it had on standard output. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { DeviceBroker } from '../src/kit/devices/broker.ts'
import { openJournalFile, type JournalStore } from '../src/kit/devices/lease-journal.ts'
import { killedCards, policyWith, slice } from './support-devices.ts'

const [dir, killAt = 'never', after = '0', round = '0'] = process.argv.slice(2) as [string, ...string[]]
let writes = 0

/** The real file, and SIGKILL at one moment of one write. */
async function killing(): Promise<JournalStore> {
  const path = join(dir, 'leases.journal')
  const store = await openJournalFile(path)
  const die = () => process.kill(process.pid, 'SIGKILL')
  return {
    ...store,
    async append(text) {
      const last = writes++ === Number(after)
      if (last && killAt === 'before') die()
      if (last && killAt === 'within') {
        const handle = await open(path, 'a')
        await handle.appendFile(text.slice(0, text.length / 2))
        die()
      }
      await store.append(text)
      if (last && killAt === 'after') die()
    }
  }
}

const broker = await DeviceBroker.open({
  dir,
  inventory: killedCards,
  policy: policyWith(),
  ...(killAt === 'never' ? {} : { store: await killing() })
})
const say = (...words: unknown[]) => process.stdout.write(`${JSON.stringify(words)}\n`)
const profiles = ['1g.5gb', '2g.10gb', '3g.20gb']
for (let at = 0; ; at++) {
  const uid = `pod-${round}-${at}`
  await broker.request({ uid, project: 'p', resources: { [slice(profiles[at % 3]!)]: 1 } })
  say('requested', uid)
  say('bound', uid, (await broker.bind(uid)).devices)
  const over = `pod-${round}-${at - 2}`
  if (at < 2) continue
  say('releasing', over)
  await broker.release(over)
  say('released', over)
}
