import { PluginError } from '../../errors.ts'
import type { Plan } from '../plan/plan.ts'
import { bindingOf, type Binding } from './binding.ts'
import type { BrokerEvent, Preemption } from './broker-events.ts'
import { statusOf, type BrokerStatus } from './broker-status.ts'
import type { CardPool } from './card-pool.ts'
import type { Card } from './card.ts'
import { noRoom, placeFor, refusalForEver, victimsFor, type Deciding } from './decide.ts'
import { checkRequest, requestOf } from './device-request.ts'
import { DeviceState, placeOf, type DeviceStateOptions } from './device-state.ts'
import type { LeaseLedger } from './lease-ledger.ts'
import type { DeviceRequest, Holding, Lease, LeaseRecord, Notice } from './lease.ts'
import { planFor, type DevicePlan } from './plan-devices.ts'
import type { Placed } from './place.ts'
import type { DevicePolicy } from './policy.ts'
import type { Repartition } from './repartition.ts'
import { WaitingRequests } from './waiting-requests.ts'

export interface BrokerOptions extends DeviceStateOptions {
  readonly policy: DevicePolicy
  readonly now?: () => number
}

type NoticeRecord = LeaseRecord & { readonly type: 'notice' }

/**
 * Places devices and says who has them. Nothing is handed over before it is on the disk, and what was handed over is
 * given to nobody else before it is released, whatever has crashed in between.
 */
export class DeviceBroker {
  readonly #state: DeviceState
  readonly #policy: DevicePolicy
  readonly #now: () => number
  readonly #waiting: WaitingRequests
  readonly #listeners = new Set<(event: BrokerEvent) => void>()
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(state: DeviceState, { policy, now = Date.now }: BrokerOptions) {
    this.#state = state
    this.#policy = policy
    this.#now = now
    this.#waiting = new WaitingRequests(state.ledger, now)
  }

  /** @throws PluginError `PLUGIN_DEVICES_JOURNAL`, `PLUGIN_ROOT_IN_USE` */
  static async open(options: BrokerOptions): Promise<DeviceBroker> {
    return new DeviceBroker(await DeviceState.open(options), options)
  }

  /**
   * Takes a wish down; nothing is held by it. The same UID again is the same wish.
   * @throws PluginError `PLUGIN_DEVICES_INVALID`, `PLUGIN_DEVICES_REFUSED` where it could never be served
   */
  request(value: DeviceRequest): Promise<Lease> {
    return this.#exclusive(async () => {
      const request = checkRequest(value)
      const { uid } = request
      const { ledger } = this.#state
      if (!ledger.get(uid)) {
        const reason = refusalForEver(this.#deciding(), request)
        if (reason !== undefined) throw new PluginError('PLUGIN_DEVICES_REFUSED', { uid, reason })
        await this.#commit([{ type: 'request', at: this.#now(), request }])
      }
      return ledger.get(uid)!
    })
  }

  /**
   * Chooses the devices of a wish, when what uses them starts. The same UID again gets the same devices, until it is
   * released, with a new token: a release that was meant for the start before does nothing any more. For an owner,
   * borrowers are told to go; the call is to be made again when they have.
   * @throws PluginError `PLUGIN_DEVICES_BUSY` while there is no room, `PLUGIN_DEVICES_UNKNOWN`
   */
  bind(uid: string): Promise<Binding> {
    return this.#exclusive(async () => {
      const lease = this.#lease(uid)
      if (lease.phase === 'bound') {
        await this.#commit([{ type: 'fence', uid, token: this.#state.ledger.nextToken }])
        return this.#binding(uid)
      }
      const deciding = this.#deciding()
      const { view, policy, state } = deciding
      const refusal = policy.refuse(lease.request, view)
      if (refusal) throw new PluginError('PLUGIN_DEVICES_BUSY', { uid, reason: refusal.reason })
      const placed = placeFor(deciding, lease, this.#waiting.leases())
      if (!placed) throw await this.#wait(lease, deciding)
      const until = policy.until(
        lease.request,
        placed.map(({ card }) => card),
        view
      )
      await this.#commit([
        {
          type: 'bind',
          uid,
          at: view.now,
          token: state.ledger.nextToken,
          holdings: placed.map(holdingOf),
          ...(until === undefined ? {} : { until })
        }
      ])
      this.#waiting.delete(uid)
      this.#tell({ type: 'bound', uid })
      return this.#binding(uid)
    })
  }

  /** The devices of a pod on one of these hosts, by {@link request} and {@link bind}; undefined where it asks for none. */
  async acquire(
    plan: Pick<Plan, 'pod' | 'resources' | 'claimed'>,
    hosts?: readonly string[]
  ): Promise<Binding | undefined> {
    const request = requestOf(plan, this.#state.pool)
    if (!request) return undefined
    await this.request(hosts ? { ...request, hosts: [...hosts] } : request)
    return this.bind(request.uid)
  }

  /** The UUIDs of what was made for a binding, such as MIG devices, before they are used. */
  realised(
    uid: string,
    token: number,
    uuids: (LeaseRecord & { type: 'realise' })['uuids']
  ): Promise<Binding> {
    return this.#exclusive(async () => {
      if (this.#lease(uid).token !== token)
        throw new PluginError('PLUGIN_DEVICES_UNKNOWN', { kind: 'binding', id: `${uid} with token ${token}` })
      await this.#commit([{ type: 'realise', uid, token, uuids }])
      return this.#binding(uid)
    })
  }

  /**
   * What used the devices has ended. Idempotent; with the token of an earlier binding nothing happens.
   * @returns whether something was released
   */
  release(
    uid: string,
    { token, reason = 'ended' }: { readonly token?: number; readonly reason?: string } = {}
  ): Promise<boolean> {
    return this.#exclusive(async () => {
      const lease = this.#state.ledger.get(uid)
      if (!lease || (token !== undefined && token !== lease.token)) return false
      await this.#release([lease], reason)
      return true
    })
  }

  /**
   * Releases what was bound before `listedAt` (epoch ms) and is not in use any more, as a list of the backend's that
   * was begun then shows: what has ended while nobody looked.
   * @returns the UIDs
   */
  reconcile(inUse: ReadonlySet<string>, listedAt: number): Promise<string[]> {
    return this.#exclusive(async () => {
      const gone = [...this.#state.ledger.leases()].filter(
        ({ request, boundAt }) => boundAt !== undefined && boundAt < listedAt && !inUse.has(request.uid)
      )
      await this.#release(gone, 'no longer in use')
      return gone.map(({ request }) => request.uid)
    })
  }

  /**
   * A drained card takes nobody new. With `graceSeconds` its holders are told to go.
   * @param reason undefined: it takes users again
   * @throws PluginError `PLUGIN_DEVICES_UNKNOWN`
   */
  drain(card: string, reason: string | undefined, graceSeconds?: number): Promise<void> {
    return this.#exclusive(async () => {
      if (!this.#state.card(card)) throw new PluginError('PLUGIN_DEVICES_UNKNOWN', { kind: 'card', id: card })
      const at = this.#now()
      const holders = graceSeconds === undefined || reason === undefined ? [] : this.#state.holdersOf(card)
      const notices = holders
        .filter(({ notice }) => !notice)
        .map(({ request }) =>
          noticeTo(request.uid, {
            reason: 'drain',
            message: `card ${card} is drained: ${reason}`,
            at,
            deadline: at + graceSeconds! * 1000
          })
        )
      await this.#commit([{ type: 'drain', card, ...(reason === undefined ? {} : { reason }) }, ...notices])
      this.#tellNotices(notices)
      if (reason === undefined) this.#tell({ type: 'room' })
    })
  }

  /** What would happen if these were bound now, in this order. Nothing does. */
  plan(requests: readonly DeviceRequest[]): DevicePlan {
    return planFor(this.#deciding(), requests.map(checkRequest))
  }

  /**
   * Shares idle cards in another way, as {@link plan} has shown; the caller runs the commands afterwards.
   * @throws PluginError `PLUGIN_DEVICES_IN_USE`
   */
  repartition(changes: readonly Repartition[]): Promise<void> {
    return this.#exclusive(async () => {
      const { pool, ledger } = this.#state
      for (const { card } of changes) {
        const found = pool.get(card.id)
        const held = ledger.holds(this.#now()).some((hold) => hold.card === card.id)
        const same = JSON.stringify(found?.card.sharing) === JSON.stringify(card.sharing)
        if (found?.state !== 0 || held || !same)
          throw new PluginError('PLUGIN_DEVICES_IN_USE', {
            card: card.id,
            reason: 'somebody uses it, or it is not as it was when this was planned; plan again'
          })
      }
      await this.#commit(changes.map(({ card, to }) => ({ type: 'sharing', card: card.id, sharing: to })))
      this.#tell({ type: 'room' })
    })
  }

  /** What a new look at the machines has found. Leases of a card that is gone stay until they are released. */
  update(inventory: readonly Card[]): Promise<void> {
    return this.#exclusive(async () => {
      for (const card of this.#state.install(inventory))
        for (const { request } of this.#state.holdersOf(card)) this.#tell({ type: 'lost', uid: request.uid })
      this.#tell({ type: 'room' })
    })
  }

  /**
   * Cards that cannot be given at the moment, such as those of a server that does not answer, or that were pulled out.
   * They keep their leases, and are given again once they are not named here any more.
   */
  setAway(cards: ReadonlySet<string>): Promise<void> {
    return this.#exclusive(() => {
      for (const card of this.#state.setAway(cards))
        for (const { request } of this.#state.holdersOf(card)) this.#tell({ type: 'lost', uid: request.uid })
      this.#tell({ type: 'room' })
      return Promise.resolve()
    })
  }

  /** Of what a UID has, the cards that are away. */
  awayOf(uid: string): string[] {
    const { holdings = [] } = this.#state.ledger.get(uid) ?? {}
    return [...new Set(holdings.map(({ card }) => card))].filter((card) => this.#state.isAway(card))
  }

  get cards(): readonly Card[] {
    return [...this.#state.inventory()]
  }

  /**
   * Lets go of wishes that were not started in time, and tells holders whose time runs out. To be called now and then.
   * @returns who should have gone: the backend ends them, and then releases
   */
  sweep(): Promise<readonly Preemption[]> {
    return this.#exclusive(async () => {
      const now = this.#now()
      const leases = [...this.#state.ledger.leases()]
      const late = leases.filter(
        ({ phase, request, requestedAt }) =>
          phase === 'requested' && requestedAt + (request.startWithinSeconds ?? Infinity) * 1000 <= now
      )
      await this.#release(late, 'not started in time')
      const ending = leases.filter(
        ({ until = Infinity, notice }) => !notice && until - this.#policy.noticeSeconds * 1000 <= now
      )
      const message = 'the time for which it may have devices is over'
      const notices = ending.map(({ request, until }) =>
        noticeTo(request.uid, { reason: 'time', message, at: now, deadline: until! })
      )
      await this.#commit(notices)
      this.#tellNotices(notices)
      return [...this.#state.ledger.leases()]
        .filter(({ notice }) => notice && notice.deadline <= now)
        .map(({ request }) => this.#preemption(request.uid))
    })
  }

  status(): BrokerStatus {
    return statusOf(this.#state, this.#waiting.leases())
  }

  get leases(): Pick<LeaseLedger, 'get' | 'leases'> {
    return this.#state.ledger
  }

  /** The cards as they are shared now and what of them is taken, for what the node is told. */
  get pool(): CardPool {
    return this.#state.pool
  }

  /** @returns ends it */
  watch(listener: (event: BrokerEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Leases stay as they are. */
  close(): Promise<void> {
    return this.#exclusive(() => this.#state.close())
  }

  /** One decision after the other, each on what the one before has made durable. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  #commit(records: readonly LeaseRecord[]): Promise<void> {
    return this.#state.commit(records, this.#now())
  }

  #deciding(): Deciding {
    const { ledger } = this.#state
    const now = this.#now()
    const used = new Map<string, number>()
    const usage = (project: string) => {
      const known = used.get(project) ?? ledger.usage(project, now)
      used.set(project, known)
      return known
    }
    const view = { now, leases: () => ledger.leases(), usage }
    return { state: this.#state, policy: this.#policy, view }
  }

  #lease(uid: string): Lease {
    const lease = this.#state.ledger.get(uid)
    if (!lease) throw new PluginError('PLUGIN_DEVICES_UNKNOWN', { kind: 'lease', id: uid })
    return lease
  }

  #binding(uid: string): Binding {
    return bindingOf(this.#lease(uid), (id) => this.#state.card(id))
  }

  async #wait({ request }: Lease, deciding: Deciding): Promise<PluginError> {
    const { uid } = request
    const { now } = deciding.view
    this.#waiting.add(uid)
    const leaving = [...this.#state.ledger.leases()].filter(({ notice }) => notice?.for === uid)
    const victims = leaving.length > 0 ? [] : (victimsFor(deciding, request) ?? [])
    const notices = victims.map(({ lease, graceSeconds, message }) =>
      noticeTo(lease.request.uid, {
        reason: 'owner',
        message,
        for: uid,
        at: now,
        deadline: now + graceSeconds * 1000
      })
    )
    await this.#commit(notices)
    this.#tellNotices(notices)
    const preempted = [...leaving.map((lease) => lease.request.uid), ...notices.map((notice) => notice.uid)]
    const reason =
      preempted.length > 0
        ? `${preempted.length} that borrow were told to go; ask again when they have`
        : noRoom(deciding, request)
    return new PluginError('PLUGIN_DEVICES_BUSY', { uid, reason, preempted })
  }

  async #release(leases: readonly Lease[], reason: string): Promise<void> {
    const at = this.#now()
    await this.#commit(leases.map(({ request: { uid } }) => ({ type: 'release', uid, at, reason })))
    for (const { request } of leases) this.#tell({ type: 'released', uid: request.uid })
    if (leases.some(({ phase }) => phase === 'bound')) this.#tell({ type: 'room' })
  }

  #preemption(uid: string): Preemption {
    const { request, notice } = this.#lease(uid)
    const by = notice!.for === undefined ? undefined : this.#state.ledger.get(notice!.for)
    return {
      ...notice!,
      uid,
      project: request.project,
      ...(by ? { byProject: by.request.project } : {})
    }
  }

  #tellNotices(notices: readonly NoticeRecord[]): void {
    for (const { uid } of notices) this.#tell({ type: 'preempted', uid, preemption: this.#preemption(uid) })
  }

  #tell(event: BrokerEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}

const noticeTo = (uid: string, notice: Notice): NoticeRecord => ({ type: 'notice', uid, notice })

const holdingOf = ({ card, placement }: Placed): Holding => ({
  card: card.id,
  ...(card.pci === undefined ? {} : { place: placeOf(card)! }),
  resource: placement.resource,
  start: placement.start,
  mask: placement.mask,
  share: placement.share,
  ...(placement.profile === undefined ? {} : { profile: placement.profile })
})
