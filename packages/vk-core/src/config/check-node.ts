/** What the Kubernetes API would refuse of a node, said before it is asked. */
import { ConfigError, type YamlPlace } from '@interlink-ts/interlink-api/config'
import type { NodeConfig } from '../config.ts'
import { quantityPattern } from './schema.ts'

const part = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/
const domain = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/
const quantity = new RegExp(quantityPattern)
/** Every other name needs a domain. Source: kubernetes/pkg/apis/core/validation, ValidateNodeResources. */
const standard = /^(cpu|memory|pods|ephemeral-storage|hugepages-\w+)$/

/** @throws ConfigError naming the line, the key and what was expected */
export function checkNode(node: NodeConfig, index: number, place: YamlPlace): void {
  const refuse = (key: string, expected: string, ...path: string[]): never => {
    throw new ConfigError(
      `${place('nodes', String(index), ...path)}: nodes[${index}].${key}: expected ${expected}`
    )
  }
  const { url } = node.interlink
  if (!url.startsWith('unix:///') && !URL.canParse(url))
    refuse('interlink.url', 'http://host:port, https://host:port or unix:///path', 'interlink', 'url')
  for (const [key, value] of Object.entries(node.labels)) {
    const at = `labels[${JSON.stringify(key)}]`
    if (!isQualifiedName(key)) refuse(at, `a key of ${qualifiedName}`, 'labels', key)
    if (!isLabelValue(value)) refuse(at, labelValue, 'labels', key)
  }
  for (const key of Object.keys(node.annotations))
    if (!isQualifiedName(key.toLowerCase()))
      refuse(`annotations[${JSON.stringify(key)}]`, `a key of ${qualifiedName}`, 'annotations', key)
  for (const { key, value = '' } of node.taints) {
    const at = `taints[${JSON.stringify(key)}]`
    if (!isQualifiedName(key)) refuse(at, `a key of ${qualifiedName}`, 'taints')
    if (!isLabelValue(value)) refuse(`${at}.value`, labelValue, 'taints')
  }
  for (const [name, amount] of Object.entries(node.resources)) {
    const at = `resources[${JSON.stringify(name)}]`
    if (!standard.test(name) && !(name.includes('/') && isQualifiedName(name)))
      refuse(
        at,
        'cpu, memory, pods, ephemeral-storage, hugepages-SIZE or a name such as nvidia.com/gpu',
        'resources',
        name
      )
    if (!quantity.test(amount)) refuse(at, 'a quantity such as 8, 500m or 64Gi', 'resources', name)
    if ((name === 'pods' || name.includes('/')) && /\.\d*[1-9]|m$/.test(amount))
      refuse(at, 'a whole number', 'resources', name)
  }
}

const qualifiedName = 'at most 63 letters, digits, "-", "_" and ".", after a domain and "/" where it has one'
const labelValue = 'a value of at most 63 letters, digits, "-", "_" and "."'

const isLabelValue = (value: string) => value === '' || part.test(value)

function isQualifiedName(name: string): boolean {
  const slash = name.lastIndexOf('/')
  return part.test(name.slice(slash + 1)) && (slash < 0 || domain.test(name.slice(0, slash)))
}
