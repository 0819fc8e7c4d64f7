/** One entry of `--gres`: `name[:type][:count]`. */
export interface Gres {
  readonly name: string
  readonly type?: string
  readonly count: string
}

/** Flags that ask for GPUs in another way than `--gres`. */
export const gpuFlags: readonly string[] = ['gpus', 'gpus-per-node', 'gpus-per-socket', 'gpus-per-task']

export function readGres(value: string): Gres[] {
  return value.split(',').map((part) => {
    const [name = '', ...rest] = part.replace(/^gres[:/]/, '').split(':')
    const count = /^\d/.test(rest.at(-1) ?? '') ? rest.pop()! : '1'
    return { name, count, ...(rest.length > 0 ? { type: rest.join(':') } : {}) }
  })
}

export const writeGres = (all: readonly Gres[]): string =>
  all.map(({ name, type, count }) => [name, type, count].filter(Boolean).join(':')).join(',')

/**
 * Entries of a stronger source replace those of the same name; where the number is the same, a type that only the
 * weaker one has stays.
 */
export function mergeGres(weaker: readonly Gres[], stronger: readonly Gres[]): Gres[] {
  const names = new Set(stronger.map(({ name }) => name))
  const kept = stronger.map(
    (entry) =>
      (entry.type === undefined &&
        weaker.find(({ name, count }) => name === entry.name && count === entry.count)) ||
      entry
  )
  return [...weaker.filter(({ name }) => !names.has(name)), ...kept]
}
