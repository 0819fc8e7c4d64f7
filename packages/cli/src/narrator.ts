import type { Writable } from 'node:stream'

/** Tells the person at the terminal what happens, as it happens; colours only on a terminal. */
export interface Narrator {
  title(text: string): void
  step(name: string, detail: string): void
  phase(subject: string, from: string | undefined, to: string, seconds: number): void
  note(text: string): void
  logLine(line: string): void
  blank(): void
}

export function createNarrator(out: Writable & { isTTY?: boolean }): Narrator {
  const paint = (code: number, text: string) =>
    out.isTTY && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text
  const line = (text: string) => out.write(`${text}\n`)
  const colours: Record<string, number> = { Pending: 33, Running: 36, Succeeded: 32, Failed: 31 }
  return {
    title: (text) => line(paint(1, text)),
    step: (name, detail) => line(`  ${paint(32, '✓')} ${name.padEnd(9)} ${detail}`),
    phase: (subject, from, to, seconds) =>
      line(
        `  ${paint(1, subject)}  ${from ? `${from} → ` : ''}${paint(colours[to] ?? 0, to)}  ${paint(2, `${seconds.toFixed(1)} s`)}`
      ),
    note: (text) => line(`  ${paint(2, text)}`),
    logLine: (text) => line(`    ${paint(2, '│')} ${text}`),
    blank: () => line('')
  }
}
