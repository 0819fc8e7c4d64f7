import { CommanderError } from 'commander'
import { buildProgram } from './program.ts'
import { explain } from './errors.ts'

/** Runs the `interlink` command; resolves to the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = buildProgram()
  // `interlink render POD | head -1`: the reader has what it wants
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.stderr.write(`interlink: standard output: ${error.message}\n`)
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode
    process.stderr.write(`interlink: ${explain(error)}\n`)
    return 1
  }
}
