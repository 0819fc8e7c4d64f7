import { shellWords } from '../supervisor/quote.ts'
import type { Transport } from './transport.ts'

/**
 * Fails where a program is missing on the machine that commands run on.
 * @param needed the programs, each with the package that brings it
 * @param machine what that machine is to be, such as `the login node`
 * @throws Error, TransportError that say what to do
 */
export async function needPrograms(
  transport: Transport,
  needed: Readonly<Record<string, string>>,
  machine: string
): Promise<void> {
  const look = `for program in ${shellWords(Object.keys(needed))}; do command -v "$program" >/dev/null || echo "$program"; done`
  const { stdout } = await transport.run(['sh', '-c', look], { timeoutMs: 30_000 })
  const missing = stdout
    .toString()
    .split('\n')
    .filter((program) => Object.hasOwn(needed, program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((program) => needed[program]))]
  throw new Error(
    `${transport.where} lacks ${missing.join(', ')} (${packages.join(', ')}); is it ${machine}, and are they on the PATH of commands that run without a login shell, or in options.bin?`
  )
}
