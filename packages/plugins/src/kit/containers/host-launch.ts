import type { Launch } from '../backend.ts'
import type { Notice, Refusal } from '../plan/plan.ts'
import type { Rendering } from './rendering.ts'

/** Where the kubelet mounts the token of the service account. */
const accountPath = '/var/run/secrets/kubernetes.io/serviceaccount'
const why = 'image host runs on the compute node as it is'

/** Straight on the compute node: nothing can be mounted. */
export function hostLaunch({ plan, container, field, ranks = [] }: Rendering): Launch | Refusal {
  if (!container.command)
    return { field: `${field}.command`, message: 'image host says not what to run; give a command' }
  const notices: Notice[] = []
  for (const [index, { mountPath }] of container.mounts.entries()) {
    if (mountPath !== accountPath)
      return {
        field: `${field}.volumeMounts[${index}]`,
        message: `nothing can be mounted, as ${why}; use another image`
      }
    notices.push({
      reason: 'NotMounted',
      message: `${container.name}: the service account's token is not mounted, as ${why}`
    })
  }
  if (container.terminationMessagePath !== '/dev/termination-log')
    notices.push({
      reason: 'NotMounted',
      message: `${container.name}: the termination message is not read from ${container.terminationMessagePath}, as ${why}`
    })
  if (container.readOnlyRoot)
    notices.push({ reason: 'RootNotReadOnly', message: `${container.name}: the root is writable, as ${why}` })
  if (plan.pod.hostname !== plan.pod.name)
    notices.push({
      reason: 'HostnameNotSet',
      message: `${container.name}: the host name is the node's, as ${why}`
    })
  return {
    run: [...ranks, ...container.command, ...(container.args ?? [])],
    enter: [],
    cwd: container.workingDir ?? '/',
    notices
  }
}
