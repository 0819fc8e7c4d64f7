import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { killTree } from './kill-tree.ts'
import { maxOutput, TransportError, type Ran, type RunOptions } from './transport.ts'

const program = fileURLToPath(new URL('../../../assets/runner.sh', import.meta.url))
/** Words of standard error that are kept. */
const maxWords = 65_536

interface Command {
  readonly name: string
  pid?: number
  ended(code: number): void
  failed(error: TransportError): void
}

/**
 * Runs commands through one small shell, assets/runner.sh, which outlives the plugin by as long as they take. What
 * they read and print are files of a directory that nobody else can enter; these are on the machine's own disk, where
 * a hand-over to another thread would take longer than to wait.
 */
export class CommandRunner {
  readonly #dir = mkdtempSync(join(tmpdir(), 'interlink-run-'))
  readonly #shell: ChildProcess
  readonly #commands = new Map<number, Command>()
  /** Numbers of commands that have ended. */
  readonly #free: number[] = []
  #numbers = 0
  #over: TransportError | undefined

  constructor(env: Readonly<Record<string, string>>) {
    this.#shell = spawn('/bin/sh', [program, this.#dir], {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'ignore'],
      // Ctrl-C at the plugin is not meant for what it has begun.
      detached: true,
      env: { ...process.env, ...env }
    })
    createInterface({ input: this.#shell.stdout! }).on('line', (line) => this.#hear(line))
    this.#shell.stdin!.on('error', () => {})
    this.#shell.once('error', ({ message }) => this.#end(message))
    this.#shell.once('exit', () => this.#end('the shell that runs commands has ended'))
  }

  /** Nothing can be run any more. */
  get isOver(): boolean {
    return this.#over !== undefined
  }

  /** @throws TransportError */
  async run(argv: readonly string[], { input, timeoutMs }: RunOptions): Promise<Ran> {
    const [name = ''] = argv
    const number = this.#free.pop() ?? this.#numbers++
    const files = join(this.#dir, String(number))
    const inputFile = input === undefined ? '/dev/null' : `${files}.in`
    try {
      if (input !== undefined) writeFileSync(inputFile, input, { mode: 0o600 })
      const code = await this.#ended(number, [inputFile, ...argv], name, timeoutMs)
      const stdout = printed(`${files}.out`, name)
      const stderr = printed(`${files}.err`, name).toString().slice(0, maxWords)
      if (code === 127 && stderr.includes('not found'))
        throw new TransportError(`${name} is not there; install it, or name its directory in options.bin`)
      return { code, stdout, stderr }
    } finally {
      if (input !== undefined) rmSync(inputFile, { force: true })
      // One that was given up writes to its files until it has died.
      if (!this.#commands.has(number)) this.#free.push(number)
    }
  }

  close(): void {
    this.#over ??= new TransportError('closed')
    this.#shell.stdin!.end()
    this.#shell.unref()
  }

  #ended(number: number, words: readonly string[], name: string, timeoutMs: number): Promise<number> {
    if (this.#over) throw this.#over
    return new Promise((resolve, reject) => {
      let givenUp = false
      const timer = setTimeout(() => {
        givenUp = true
        if (command.pid !== undefined) void killTree(command.pid)
        reject(new TransportError(`${name} did not end within ${timeoutMs / 1000} s`))
      }, timeoutMs)
      const command: Command = {
        name,
        ended: (code) => {
          clearTimeout(timer)
          if (givenUp) this.#free.push(number)
          else resolve(code)
        },
        failed: (error) => {
          clearTimeout(timer)
          reject(error)
        }
      }
      this.#commands.set(number, command)
      this.#shell.stdin!.write(`${number}\n${words.map(linesOf).join('')}.\n`)
    })
  }

  #hear(line: string): void {
    const [, number, word, value] = /^(\d+) (started|ended) (\d+)$/.exec(line) ?? []
    const command = this.#commands.get(Number(number))
    if (!command) return
    if (word === 'started') {
      command.pid = Number(value)
      return
    }
    this.#commands.delete(Number(number))
    command.ended(Number(value))
  }

  #end(why: string): void {
    this.#over ??= new TransportError(why)
    for (const command of this.#commands.values()) command.failed(this.#over)
    this.#commands.clear()
  }
}

/** A word as the shell reads it. */
function linesOf(word: string): string {
  const lines = word.split('\n')
  const last = lines.pop()!
  return `${lines.map((line) => `+${line}\n`).join('')}-${last}\n`
}

function printed(file: string, name: string): Buffer {
  if (statSync(file).size > maxOutput)
    throw new TransportError(`${name} printed more than ${maxOutput} bytes`)
  return readFileSync(file)
}
