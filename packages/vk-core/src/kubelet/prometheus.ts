/** The Prometheus text format 0.0.4, for the few families whose names and labels are a contract. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
  /** Milliseconds since the epoch. */
  readonly at?: number
}

/** Empty when there is no sample. */
export function renderFamily(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  samples: readonly Sample[]
): string {
  if (samples.length === 0) return ''
  const lines = samples.map(({ labels = {}, value, at }) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
    const braces = pairs.length > 0 ? `{${pairs.join(',')}}` : ''
    return `${name}${braces} ${value}${at === undefined ? '' : ` ${at}`}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8'

const escapeLabel = (text: string) => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')
