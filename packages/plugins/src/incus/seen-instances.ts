import { unique } from '../kit/jobs/prepare-job.ts'
import type { Notice, Plan } from '../kit/plan/plan.ts'
import { claimedDevices } from './instance-devices.ts'
import { instanceRequest, profilesOf } from './instance.ts'
import type { IncusOptions } from './options.ts'
import type { IncusConnection } from './rest/index.ts'
import { diskNotices, disksOf } from './root-disk.ts'
import { isSplit, partPlan, splitNotices } from './split-plan.ts'

interface Seen {
  readonly notices: readonly Notice[]
  readonly shown: readonly { readonly title: string; readonly text: string }[]
}

/** What Incus would be asked for, and what it will not hold; without the server, as if it held nothing. */
export async function seenInstances(
  incus: IncusConnection,
  plan: Plan,
  options: IncusOptions
): Promise<Seen> {
  const parts = isSplit(plan) ? plan.containers.map((container) => partPlan(plan, container)) : [plan]
  const seen = await Promise.all(
    parts.map(async (part) => {
      const disks = await disksOf(incus, part, profilesOf(part, options)).catch(() => ({}))
      const request = instanceRequest(part, '<mark>', options, disks)
      const devices = { ...request.devices, ...claimedDevices(part) }
      return { notices: diskNotices(part, disks), text: JSON.stringify({ ...request, devices }, null, 2) }
    })
  )
  return {
    // Of a directory that they share all say the same.
    notices: unique([...splitNotices(plan), ...seen.flatMap(({ notices }) => notices)]),
    shown: seen.map(({ text }) => ({ title: 'POST /1.0/instances', text }))
  }
}
