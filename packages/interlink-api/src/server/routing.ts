import { InterlinkError } from '../errors.ts'
import type { PluginConfig } from './config.ts'

export interface Route {
  readonly node?: string
  /** Absent: not known, every plugin of the node is a candidate. */
  readonly labels?: Readonly<Record<string, string>>
}

type Rules = Pick<PluginConfig, 'name' | 'nodes' | 'podLabels'>

/**
 * The plugins that may have the pod, best first: one that names the node and the pod's labels comes before one that
 * names fewer, then the order of the configuration decides. Pure, so every replica routes alike.
 * @throws InterlinkError `IL_NO_PLUGIN`
 */
export function candidates<T extends Rules>(plugins: readonly T[], route: Route): readonly [T, ...T[]] {
  const serving = plugins.filter((plugin) => servesNode(plugin, route.node))
  const fitting = route.labels ? serving.filter((plugin) => fits(plugin, route.labels!)) : serving
  const [first, ...rest] = fitting.toSorted((a, b) => weight(b) - weight(a))
  if (first) return [first, ...rest]
  const wanted = [
    route.node ? `node ${route.node}` : 'a call that names no node',
    ...(serving.length > 0 ? ['the labels of this pod'] : [])
  ].join(' and ')
  throw new InterlinkError('IL_NO_PLUGIN', { wanted })
}

/**
 * All plugins of the node, those that fit the labels first. For what concerns a pod that exists: its labels may have
 * been changed since it was created.
 * @throws InterlinkError `IL_NO_PLUGIN`
 */
export function inTurn<T extends Rules>(
  plugins: readonly T[],
  { node, labels }: Route
): readonly [T, ...T[]] {
  const [first, ...rest] = candidates(plugins, { node })
  if (!labels) return [first, ...rest]
  const all = [first, ...rest].toSorted((a, b) => Number(fits(b, labels)) - Number(fits(a, labels)))
  return all as unknown as readonly [T, ...T[]]
}

/** A call that names no node may be for any. */
const servesNode = (plugin: Rules, node: string | undefined) =>
  node === undefined || plugin.nodes === undefined || plugin.nodes.includes(node)

const fits = ({ podLabels = {} }: Rules, labels: Readonly<Record<string, string>>) =>
  Object.entries(podLabels).every(([name, value]) => labels[name] === value)

const weight = ({ nodes, podLabels }: Rules) => (nodes ? 1000 : 0) + Object.keys(podLabels ?? {}).length
