export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** As clients of Kubernetes write it, and every hop here: `{"Width":80,"Height":24}`. */
export const writeSize = ({ columns, rows }: TerminalSize): string =>
  JSON.stringify({ Width: columns, Height: rows })

/** Undefined for what is no size. */
export function readSize(text: string): TerminalSize | undefined {
  try {
    const { Width: columns, Height: rows } = JSON.parse(text) as Record<string, unknown>
    return isSize(columns) && isSize(rows) ? { columns, rows } : undefined
  } catch {
    return undefined
  }
}

const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536
