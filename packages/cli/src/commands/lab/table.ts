import { printable } from '@interlink-ts/plugins/lab'

/** Rows below a heading, each column as wide as what it holds. Nothing of a value is obeyed by the terminal. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const shown = [heading, ...rows.map((row) => row.map(printable))]
  const widths = heading.map((_, column) => Math.max(...shown.map((row) => (row[column] ?? '').length)))
  return shown
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()
    )
    .map((line) => `${line}\n`)
    .join('')
}
