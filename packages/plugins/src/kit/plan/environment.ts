import type { EnvVar, RetrievedContainer } from '@interlink-ts/interlink-api/wire'
import type { Context, Placed } from './context.ts'
import { expand } from './expand.ts'
import { configMapEntries, secretEntries } from './entries.ts'

/**
 * The environment of a container, each name once with its last value. Names are any text without `=` and
 * NUL, as the API server takes them.
 */
export function compileEnvironment(
  placed: Placed,
  sent: RetrievedContainer | undefined,
  hostname: string,
  context: Context
): Map<string, string> {
  const { findings, expanded } = context
  const env = new Map<string, string>([['HOSTNAME', hostname]])
  if (expanded.env !== 'done') compileEnvFrom(placed, sent, env, context)
  placed.container.env?.forEach((entry, index) => {
    const path = `${placed.path}.env[${index}]`
    if (!isEnvName(entry.name)) {
      findings.refuse(
        `${path}.name`,
        'an environment name is not empty and has neither "=" nor NUL; rename it'
      )
      return
    }
    const value = resolvedValue(entry, path, context)
    if (value === undefined) return
    if (value.includes('\0')) {
      findings.refuse(`${path}.value`, 'an environment value cannot hold NUL; mount it as a file')
      return
    }
    env.set(entry.name, expanded.env === 'no' ? expand(value, (name) => env.get(name)) : value)
  })
  return env
}

function resolvedValue(entry: EnvVar, path: string, { findings }: Context): string | undefined {
  const from = entry.valueFrom
  if (!from || entry.value) return entry.value ?? ''
  if (from.configMapKeyRef?.optional || from.secretKeyRef?.optional) return undefined
  findings.refuse(
    `${path}.valueFrom`,
    `the node has not resolved the value of ${entry.name}; give it as a value`
  )
  return undefined
}

/** Nodes resolve envFrom into env; what they left is taken from the objects they sent along. */
function compileEnvFrom(
  placed: Placed,
  sent: RetrievedContainer | undefined,
  env: Map<string, string>,
  { findings, expanded }: Context
): void {
  placed.container.envFrom?.forEach((source, index) => {
    const path = `${placed.path}.envFrom[${index}]`
    const ref = source.configMapRef ?? source.secretRef
    const named = (object: { metadata: { name?: string } }) => object.metadata.name === ref?.name
    const configMap = source.configMapRef && sent?.configMaps.find(named)
    const secret = source.secretRef && sent?.secrets.find(named)
    const entries = configMap ? configMapEntries(configMap) : secret ? secretEntries(secret) : undefined
    if (entries) {
      for (const [key, base64] of entries) {
        const name = `${source.prefix ?? ''}${key}`
        const value = Buffer.from(base64, 'base64').toString()
        if (isEnvName(name) && !value.includes('\0')) env.set(name, value)
        else findings.notice('EnvFromSkipped', `${name} cannot be an environment variable`, path)
      }
    } else if (expanded.env === 'assumed') {
      findings.notice('EnvFromAssumed', 'taken as resolved by the node already', path)
    } else if (!ref?.optional) {
      findings.refuse(path, `the node has neither resolved nor sent ${ref?.name ?? 'the object'}; create it`)
    }
  })
}

function isEnvName(name: string): boolean {
  return name !== '' && !/[=\0]/.test(name)
}
