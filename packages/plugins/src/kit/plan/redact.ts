import type { Plan, PlannedContainer } from './plan.ts'

/** Shorter values stand in too many words by chance. */
const TELLING = 6

/** Words of a command in which `$(NAME)` stands again where its value was expanded into them. */
export function redactWords(words: readonly string[], env: PlannedContainer['env']): string[] {
  const values = env.filter(({ name, value }) => name !== 'HOSTNAME' && value.length >= TELLING)
  return words.map((word) =>
    values.reduce((text, { name, value }) => text.replaceAll(value, () => `$(${name})`), word)
  )
}

/** A plan as JSON for people: sizes in the place of environment values, file contents, header values, credentials, a script. */
export function redactPlan(plan: Plan): unknown {
  return {
    ...plan,
    ...(plan.script !== undefined && { script: { bytes: Buffer.byteLength(plan.script) } }),
    ...(plan.credentials && { credentials: plan.credentials.map(({ match }) => ({ match })) }),
    containers: plan.containers.map((container) => redactContainer(container)),
    volumes: plan.volumes.map((volume) =>
      volume.kind === 'files'
        ? {
            ...volume,
            files: volume.files.map(({ path, mode, base64 }) => ({
              path,
              mode,
              bytes: Buffer.byteLength(base64, 'base64')
            }))
          }
        : volume
    )
  }
}

function redactContainer(container: PlannedContainer): unknown {
  const { env, command, args } = container
  const redacted = {
    ...container,
    ...(command && { command: redactWords(command, env) }),
    ...(args && { args: redactWords(args, env) }),
    env: env.map(({ name, value }) => ({ name, bytes: Buffer.byteLength(value) }))
  }
  return JSON.parse(JSON.stringify(redacted), (key, value: unknown) =>
    key === 'headers' && Array.isArray(value) ? value.map(({ name }: { name: string }) => ({ name })) : value
  )
}
