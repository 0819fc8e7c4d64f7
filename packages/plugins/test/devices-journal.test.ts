import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { BoundDevice } from '../src/kit/devices/binding.ts'
import { DeviceBroker } from '../src/kit/devices/broker.ts'
import { LeaseJournal } from '../src/kit/devices/lease-journal.ts'
import { LeaseLedger } from '../src/kit/devices/lease-ledger.ts'
import type { LeaseRecord } from '../src/kit/devices/lease.ts'
import { aCard, FaultyDisk, killedCards, mig, policyWith, slice } from './support-devices.ts'

async function directory(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'interlink-devices-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

const openBroker = (dir: string) => DeviceBroker.open({ dir, inventory: killedCards, policy: policyWith() })

/** Runs the broker in a process of its own until it is killed; what it was told before. */
async function killed(dir: string, ...args: readonly string[]): Promise<(readonly unknown[])[]> {
  const program = fileURLToPath(new URL('support-devices-process.ts', import.meta.url))
  const loader = fileURLToPath(new URL('../../../scripts/lib/typescript.mjs', import.meta.url))
  const child = spawn(
    process.execPath,
    ['--import', loader, '--conditions=interlink-ts-source', program, dir, ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH } }
  )
  const told: (readonly unknown[])[] = []
  const enough = args[0] === 'never' ? Number(args[1]) : Infinity
  for await (const line of createInterface({ input: child.stdout })) {
    told.push(JSON.parse(line) as readonly unknown[])
    if (told.length === enough) child.kill('SIGKILL')
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit')
  if (child.signalCode !== 'SIGKILL') throw new Error(`the process ended with ${child.exitCode}`)
  return told
}

/** What its callers know must be so; what they have not been told may be either way. */
async function checkAfter(t: Test, dir: string, told: readonly (readonly unknown[])[], when: string) {
  const broker = await openBroker(dir)
  const leases = new Map(broker.status().leases.map((lease) => [lease.request.uid, lease]))
  const releasing = new Set(told.filter(([what]) => what === 'releasing').map(([, uid]) => uid))
  for (const [what, uid, devices] of told as (readonly [string, string, BoundDevice[]])[]) {
    if (what === 'bound' && !releasing.has(uid)) {
      t.equal(leases.get(uid)?.phase, 'bound', `${when}: ${uid} has what it was given`)
      const again = await broker.bind(uid)
      t.same(again.devices, devices, `${when}: and the same again`)
    }
    if (what === 'released') t.notOk(leases.has(uid), `${when}: ${uid} has nothing`)
  }
  const used = new Map<string, number>()
  for (const { holdings } of leases.values())
    for (const { card, mask } of holdings) {
      if ((used.get(card) ?? 0) & mask) t.fail(`${when}: two holders on ${card}`)
      used.set(card, (used.get(card) ?? 0) | mask)
    }
  for (const { card, state } of broker.pool.cards())
    t.equal(state, used.get(card.id) ?? 0, `${when}: ${card.id}`)
  t.ok((await broker.reconcile(new Set(), Infinity)).length <= 4)
  await broker.request({ uid: 'next', project: 'p', resources: { [slice('7g.40gb')]: 2 }, together: 'any' })
  t.equal((await broker.bind('next')).devices.length, 2, `${when}: all of it can be given again`)
  await broker.release('next')
  for (const { request } of broker.status().leases) await broker.release(request.uid)
  await broker.close()
}

t.test('a broker killed at any moment of a write remembers what it has said', async (t) => {
  const dir = await directory(t)
  const moments = [
    ['within', 0, 'its first request'],
    ['before', 1, 'its first bind'],
    ['within', 1, 'its first bind'],
    ['after', 1, 'its first bind'],
    ['after', 6, 'its first release']
  ] as const
  for (const [round, [killAt, write, what]] of moments.entries()) {
    const told = await killed(dir, killAt, String(write), String(round))
    await checkAfter(t, dir, told, `killed ${killAt} ${what}`)
  }
})

t.test('a broker killed at work, with its lock held, gives way to the next', async (t) => {
  const dir = await directory(t)
  for (const lines of ['17', '90']) {
    const told = await killed(dir, 'never', lines, lines)
    t.ok(told.length >= Number(lines))
    await checkAfter(t, dir, told, `killed after ${told.length} answers`)
  }
})

t.test('a second broker on the same directory is refused', async (t) => {
  const dir = await directory(t)
  const broker = await openBroker(dir)
  await t.rejects(openBroker(dir), { code: 'PLUGIN_ROOT_IN_USE' })
  await broker.close()
  const next = await openBroker(dir)
  await next.close()
})

t.test('the journal is this account’s alone', async (t) => {
  const dir = await directory(t)
  const broker = await openBroker(dir)
  t.equal((await stat(join(dir, 'leases.journal'))).mode & 0o777, 0o600)
  t.equal((await stat(dir)).mode & 0o777, 0o700)
  await broker.close()
})

const request = (uid: string): LeaseRecord => ({
  type: 'request',
  at: 1,
  request: { uid, project: 'p', resources: { 'nvidia.com/gpu': 1 } }
})

t.test('a torn tail is cut off, at whatever byte it is torn', async (t) => {
  const disk = new FaultyDisk()
  const { journal } = await LeaseJournal.open('j', disk)
  await journal.append([request('a')])
  const whole = disk.content.length
  await journal.append([request('b'), request('c')])
  for (let length = whole; length < disk.content.length; length++) {
    const torn = new FaultyDisk(undefined, disk.content.subarray(0, length))
    const { journal, records } = await LeaseJournal.open('j', torn)
    if (records.length !== 1 || torn.content.length !== whole) t.fail(`torn at ${length}`)
    await journal.append([request('d')])
    t.equal((await LeaseJournal.open('j', torn)).records.length, 2)
  }
})

t.test('damage that is no torn tail is an error that says what to do', async (t) => {
  const dir = await directory(t)
  const broker = await openBroker(dir)
  for (const uid of ['a', 'b'])
    await broker.request({ uid, project: 'p', resources: { [slice('1g.5gb')]: 1 } })
  await broker.close()
  const path = join(dir, 'leases.journal')
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('"uid":"a"', '"uid":"A"'))
  await t.rejects(openBroker(dir), {
    code: 'PLUGIN_DEVICES_JOURNAL',
    message: /line 1 is damaged; stop what holds devices, and move the file away$/
  })
})

t.test('a journal that gives a part to two is refused', async (t) => {
  const bind = (uid: string, token: number): LeaseRecord => ({
    type: 'bind',
    uid,
    at: 1,
    token,
    holdings: [{ card: 'GPU-a', resource: slice('1g.5gb'), start: 6, mask: 64, share: 1 / 7 }]
  })
  const disk = new FaultyDisk()
  const { journal } = await LeaseJournal.open('j', disk)
  await journal.append([request('a'), request('b'), bind('a', 1), bind('b', 2)])
  await t.rejects(
    DeviceBroker.open({ dir: '/j', inventory: killedCards, policy: policyWith(), store: disk }),
    { code: 'PLUGIN_DEVICES_JOURNAL', message: /card GPU-a: parts of lease b have a holder/ }
  )
})

t.test('on a full disk nothing is given, and once there is room it goes on', async (t) => {
  let full = false
  const disk = new FaultyDisk(() => (full ? 'full' : undefined))
  const broker = await DeviceBroker.open({
    dir: '/j',
    inventory: killedCards,
    policy: policyWith(),
    store: disk
  })
  await broker.request({ uid: 'a', project: 'p', resources: { [slice('7g.40gb')]: 1 } })
  full = true
  await t.rejects(broker.bind('a'), { code: 'PLUGIN_DEVICES_JOURNAL', retry: 'yes' })
  t.ok([...broker.pool.cards()].every(({ state }) => state === 0))
  full = false
  t.equal((await broker.bind('a')).devices.length, 1)
})

t.test('a journal of leases that are over is written anew, and says the same', async (t) => {
  const dir = await directory(t)
  let now = 1_000
  const open = () => DeviceBroker.open({ dir, inventory: killedCards, policy: policyWith(), now: () => now })
  const broker = await open()
  await broker.drain('GPU-b', 'fan')
  await broker.request({ uid: 'stays', project: 'p', resources: { [slice('3g.20gb')]: 1 } })
  const kept = await broker.bind('stays')
  for (let at = 0; at < 500; at++) {
    now += 1_000
    const uid = `pod-${at}`
    await broker.request({ uid, project: 'q', resources: { [slice('1g.5gb')]: 1 } })
    await broker.bind(uid)
    await broker.release(uid)
  }
  const before = broker.status()
  await broker.close()
  t.ok((await readFile(join(dir, 'leases.journal'), 'utf8')).split('\n').length < 1_000)
  const next = await open()
  t.same(next.status(), before)
  const again = await next.bind('stays')
  t.same(again.devices, kept.devices)
  t.ok(again.token > 500, 'tokens grow on')
  await next.close()
})

t.test('a snapshot makes the same ledger', async (t) => {
  const ledger = new LeaseLedger()
  const records: LeaseRecord[] = [
    request('a'),
    request('b'),
    request('owner'),
    {
      type: 'bind',
      uid: 'a',
      at: 2,
      token: 1,
      holdings: [{ card: 'c', resource: 'x', start: 0, mask: 1, share: 0.5 }]
    },
    {
      type: 'bind',
      uid: 'b',
      at: 2,
      token: 2,
      until: 9_000,
      holdings: [{ card: 'c', resource: 'x', start: 1, mask: 2, share: 0.5 }]
    },
    { type: 'fence', uid: 'b', token: 3 },
    { type: 'realise', uid: 'b', token: 3, uuids: [{ card: 'c', start: 1, uuid: 'MIG-1' }] },
    { type: 'notice', uid: 'a', notice: { reason: 'owner', message: 'm', for: 'owner', at: 3, deadline: 4 } },
    { type: 'drain', card: 'd', reason: 'fan' },
    { type: 'sharing', card: 'd', sharing: mig() },
    { type: 'release', uid: 'a', at: 5_000, reason: 'ended' }
  ]
  for (const record of records) ledger.apply(record)
  const copy = new LeaseLedger()
  for (const record of ledger.snapshot(6_000)) copy.apply(record)
  t.same(copy.snapshot(6_000), ledger.snapshot(6_000))
  t.match(copy.holds(6_000), [{ card: 'c', mask: 1, for: 'owner' }])
  t.equal(copy.usage('p', 6_000), ledger.usage('p', 6_000))
  t.equal(copy.taken('c'), 2)
  t.equal(copy.nextToken, 4)
  t.throws(() => copy.apply({ type: 'sharing', card: 'c', sharing: aCard(mig()).sharing }), /in use/)
})
