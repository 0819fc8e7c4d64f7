import { CommanderError } from 'commander'
import { buildProgram } from './program.ts'
import { explain } from './errors.ts'

/** Runs the `interlink` command; resolves to the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = buildProgram()
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode
    process.stderr.write(`interlink: ${explain(error)}\n`)
    return 1
  }
}
