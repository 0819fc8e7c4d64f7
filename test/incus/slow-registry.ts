import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { temporaryDirectory } from '../support/reaper.ts'
import { startRegistry, writeCertificate, type Registry } from '../support/registry.ts'

/** A registry behind TLS whose answers can be held back. */
export interface SlowRegistry extends Registry {
  /** From now on nobody gets what images are made of, however long they wait. */
  hold(): void
  /** Those who wait, and who comes after them, are told that something is wrong. */
  fail(): void
  /** Those who wait get it. */
  release(): void
  /** How many wait. */
  held(): number
}

export async function startSlowRegistry(): Promise<SlowRegistry> {
  const registry = await startRegistry({ open: true })
  const directory = temporaryDirectory('slow-registry')
  const file = (name: string) => join(directory.path, name)
  await writeCertificate(directory.path)
  const waiting = new Set<() => void>()
  let state: 'open' | 'held' | 'broken' = 'open'
  const [key, cert] = await Promise.all([readFile(file('tls.key')), readFile(file('tls.crt'))])
  const server = createServer({ key, cert }, (asked, answer) => {
    const pass = () => {
      waiting.delete(pass)
      if (state === 'broken') return void answer.writeHead(404).end()
      const { method, url, headers } = asked
      const passed = request(`http://${registry.host}${url}`, { method: method!, headers }, (answered) => {
        answer.writeHead(answered.statusCode!, answered.headers)
        answered.pipe(answer)
      })
      passed.on('error', () => answer.destroy())
      asked.pipe(passed)
    }
    if (state !== 'held' || !asked.url!.includes('/blobs/')) return pass()
    waiting.add(pass)
    answer.on('close', () => waiting.delete(pass))
  })
  const become = (next: typeof state) => {
    state = next
    if (next !== 'held') for (const pass of [...waiting]) pass()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    ...registry,
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    caFile: file('tls.crt'),
    hold: () => become('held'),
    fail: () => become('broken'),
    release: () => become('open'),
    held: () => waiting.size,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await registry.close()
      await directory.remove()
    }
  }
}
