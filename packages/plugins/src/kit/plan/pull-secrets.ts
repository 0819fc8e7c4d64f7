import type { Secret } from '@interlink-ts/interlink-api/wire'
import type { Context } from './context.ts'
import { secretEntries } from './entries.ts'
import type { PlannedCredential } from './plan.ts'

const field = 'spec.imagePullSecrets'

/** The credentials of the pod's pull secrets, as far as the node has sent them; order as in the pod. */
export function compilePullSecrets(sent: readonly Secret[], context: Context): PlannedCredential[] {
  const { pod, policy, findings } = context
  const names = (pod.spec.imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : []))
  if (names.length === 0) return []
  if (!policy.backend.pullSecrets) {
    const text = 'not handed to jobs; private images are pulled with what the site has'
    findings.notice('PullSecretsNotUsed', text, field)
    return []
  }
  return names.flatMap((name) => {
    const secret = sent.find(({ metadata }) => metadata.name === name)
    const found = secret && readPullSecret(secret)
    if (!found) {
      const what = secret
        ? 'holds no .dockerconfigjson that can be read'
        : 'has not come with the pod: it is missing, or a part on its way knows no pull secrets'
      findings.notice('FailedToRetrieveImagePullSecret', `${name} ${what}; the pull may fail`, field)
    }
    return found ?? []
  })
}

interface Entry {
  readonly auth?: unknown
  readonly username?: unknown
  readonly password?: unknown
}

/** Of types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg; undefined where there is nothing to read. */
export function readPullSecret(secret: Secret): PlannedCredential[] | undefined {
  const entries = secretEntries(secret)
  const whole = parse(entries.get('.dockerconfigjson')) as { auths?: Record<string, Entry> } | undefined
  const auths = whole?.auths ?? (parse(entries.get('.dockercfg')) as Record<string, Entry> | undefined)
  if (typeof auths !== 'object' || auths === null) return undefined
  return Object.entries(auths).flatMap(([match, entry]) => {
    const auth = authOf(entry ?? {})
    return auth === undefined ? [] : [{ match, auth }]
  })
}

/** In a shape that can stand in any text: base64 without blanks. */
function authOf({ auth, username, password }: Entry): string | undefined {
  if (typeof auth === 'string' && auth !== '') return Buffer.from(auth, 'base64').toString('base64')
  if (typeof username !== 'string' || typeof password !== 'string') return undefined
  return Buffer.from(`${username}:${password}`).toString('base64')
}

function parse(base64: string | undefined): unknown {
  if (base64 === undefined) return undefined
  try {
    return JSON.parse(Buffer.from(base64, 'base64').toString('utf8'))
  } catch {
    return undefined
  }
}
