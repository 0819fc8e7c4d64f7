import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The checkout's root directory, with a slash at its end. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** Progress goes to standard error: standard output belongs to what is being prepared. */
export const say = (text) => process.stderr.write(`${text}\n`)

/**
 * Runs a command to its end. What it prints is shown only if it fails, which throws.
 * @param {string} title what the person waits for
 */
export async function step(title, command, args, options = {}) {
  const started = performance.now()
  say(`${title} …`)
  const { code, output } = await collect(command, args, options)
  if (code !== 0) throw new Error(`${title}: ${[command, ...args].join(' ')} ended with ${code}\n${output}`)
  say(`${title}: done in ${((performance.now() - started) / 1000).toFixed(1)} s`)
}

function collect(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code: code ?? signal, output }))
  })
}

/** Ends the script with the message of an error, without its stack: the reader is no developer of these scripts. */
export async function main(body) {
  try {
    await body()
  } catch (error) {
    say(error.message)
    process.exitCode = 1
  }
}
