import type { NodeCondition, PingState } from './types.ts'

/** The node's conditions without times; see {@link withTimes}. `InterlinkConnectivity` is the reference's name. */
export function nodeConditions(ping: PingState): readonly NodeCondition[] {
  return [ready(ping), connectivity(ping), ...pressures]
}

const pressures: readonly NodeCondition[] = [
  ['MemoryPressure', 'KubeletHasSufficientMemory', 'the backend places each job where it has memory'],
  ['DiskPressure', 'KubeletHasNoDiskPressure', 'the backend keeps the disks of its jobs'],
  ['PIDPressure', 'KubeletHasSufficientPID', 'the backend keeps the process limits of its jobs'],
  ['NetworkUnavailable', 'RouteCreated', 'pods use the network of the machine their job runs on']
].map(([type, reason, message]) => ({ type: type!, status: 'False', reason: reason!, message: message! }))

function ready(ping: PingState): NodeCondition {
  if (ping.healthy === undefined)
    return { type: 'Ready', status: 'False', reason: 'KubeletPending', message: 'waiting for the first ping' }
  return ping.healthy
    ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'the backend answers' }
    : {
        type: 'Ready',
        status: 'False',
        reason: 'InterlinkPingFailed',
        message: `the backend does not answer, pods are left as they are: ${ping.error ?? 'unknown'}`
      }
}

function connectivity(ping: PingState): NodeCondition {
  const type = 'InterlinkConnectivity'
  if (ping.healthy === undefined)
    return { type, status: 'Unknown', reason: 'InterlinkPingPending', message: 'not asked yet' }
  if (!ping.healthy)
    return { type, status: 'False', reason: 'InterlinkPingFailed', message: ping.error ?? 'unknown' }
  const { backend, version, status = 'ok', streams } = ping.response ?? {}
  const who = backend ? `${backend}${version ? ` ${version}` : ''}` : 'the backend'
  // Plugins of the reference say what they like there.
  const message =
    backend && status !== 'ok'
      ? `the plugin answers, but ${status}`
      : `${who} answers${streams ? `; exec and port-forward by ${streams}` : ''}`
  return { type, status: 'True', reason: 'InterlinkPingSuccessful', message }
}

/** A condition that did not change its status keeps the time of its last transition. */
export function withTimes(
  wanted: readonly NodeCondition[],
  current: readonly NodeCondition[],
  now: string
): readonly NodeCondition[] {
  return wanted.map((condition) => {
    const before = current.find((one) => one.type === condition.type)
    const lastTransitionTime =
      before?.status === condition.status && before.lastTransitionTime ? before.lastTransitionTime : now
    return { ...condition, lastHeartbeatTime: now, lastTransitionTime }
  })
}
