import { annotationField } from '../kit/plan/annotations.ts'
import type { Plan, Refusal } from '../kit/plan/plan.ts'
import { formOf } from './form-of.ts'
import type { IncusOptions } from './options.ts'
import { locationName, noMachines } from './pod-wishes.ts'

/** What is known of a server at the moment of a choice. */
export interface ServerState {
  readonly name: string
  readonly isAway: boolean
  /** Instances of this plugin for each processor that it offers. */
  readonly load: number
}

type Servers = IncusOptions['servers']

/**
 * The servers that a pod may go to: of the location that it asks for, by name or label, with the data that it has as a
 * hostPath, where servers say which are theirs, and with virtual machines where it is one. Pure.
 * @param machineless servers that run no virtual machines, by name, and why
 */
export function serversFor(
  plan: Plan,
  servers: Servers,
  machineless: ReadonlyMap<string, string> = new Map()
): { readonly names: readonly string[] } | { readonly refusals: readonly Refusal[] } {
  const { namespace } = plan.pod
  const all = Object.entries(servers).filter(([, { namespaces }]) => namespaces?.includes(namespace) ?? true)
  if (all.length === 0) {
    const message = `no server takes pods of ${namespace}; add it to \`namespaces\` of one`
    return { refusals: [{ field: 'metadata.namespace', message }] }
  }
  const wish = plan.pod.annotations[locationName]
  const there = all.filter(([name, { location }]) => wish === undefined || wish === name || wish === location)
  if (there.length === 0) {
    const places = [...new Set(all.map(([name, { location = name }]) => location))].join(', ')
    const message = `no server is called "${wish}" or is there; expected one of ${places}`
    return { refusals: [{ field: annotationField(locationName), message }] }
  }
  let left = there
  for (const volume of plan.volumes) {
    if (volume.kind !== 'hostPath') continue
    const holders = all.filter(([, { data }]) => data.some((path) => isWithin(volume.path, path)))
    // Nobody says that it is theirs: it is everywhere.
    if (holders.length > 0) left = left.filter(([name]) => holders.some(([holder]) => holder === name))
    if (left.length === 0) {
      const message = `${volume.path} is on ${holders.map(([name]) => name).join(', ')} alone, where this pod may not go; ask for another location, or none`
      return { refusals: [{ field: `spec.volumes[${volume.name}].hostPath`, message }] }
    }
  }
  if (formOf(plan).type === 'container') return { names: left.map(([name]) => name) }
  const able = left.filter(([name]) => !machineless.has(name))
  if (able.length === 0) {
    const why = left.map(([name]) => `${name}: ${machineless.get(name)}`).join('; ')
    const others = all.flatMap(([name]) => (machineless.has(name) ? [] : [name]))
    return {
      refusals: [
        noMachines(why, others.length > 0 ? `${others.join(', ')} could: let the pod go there` : undefined)
      ]
    }
  }
  return { names: able.map(([name]) => name) }
}

/** The best of these that answers: the pod's own, then nobody's, then the one with the least to do. Pure. */
export function chooseServer(
  plan: Plan,
  names: readonly string[],
  servers: Servers,
  states: readonly ServerState[]
): string | undefined {
  const rank = (name: string) => {
    const { owners = [] } = servers[name] ?? {}
    return owners.includes(plan.pod.namespace) ? 0 : owners.length === 0 ? 1 : 2
  }
  return states
    .filter(({ name, isAway }) => !isAway && names.includes(name))
    .sort((a, b) => rank(a.name) - rank(b.name) || a.load - b.load || (a.name < b.name ? -1 : 1))[0]?.name
}

const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(`${directory.replace(/\/+$/, '')}/`)
