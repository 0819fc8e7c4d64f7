import { Parser } from 'tap-parser'

/**
 * Reads the TAP of a whole run as it comes, and keeps what a reader wants to know of it.
 * What counts is the test: a subtest that has no subtests of its own, or a file that has none.
 */
export class TapReport {
  passed = 0
  /** @type {{name: string, details: object[]}[]} */
  failures = []
  /** @type {{name: string, reason: string}[]} */
  skips = []
  #parser = new Parser()

  /** @param {(result: import('tap-parser').Result) => void} onFile called as each test file ends */
  constructor(onFile) {
    this.#collect(this.#parser, [])
    this.#parser.on('assert', onFile)
    this.#parser.on('bailout', (reason) => this.#fail(['the run'], [{ bailout: reason }]))
  }

  write(text) {
    this.#parser.write(text)
  }

  end() {
    this.#parser.end()
  }

  get line() {
    return `${this.passed} passed, ${this.failures.length} failed, ${this.skips.length} skipped`
  }

  #collect(parser, path) {
    const own = { tests: 0, failedAssertions: [], failuresBefore: this.failures.length }
    let child
    parser.on('child', (subtest) => {
      child = this.#collect(subtest, [...path, subtest.name])
    })
    parser.on('assert', (result) => {
      const here = [...path, result.name]
      if (result.skip || result.todo) {
        this.skips.push({ name: here.join(' › '), reason: String(result.skip || `to do: ${result.todo}`) })
      } else if (child) {
        this.#subtest(result, child, here)
      } else if (path.length === 0) {
        this.#runnerSays(result)
      } else if (!result.ok) {
        own.failedAssertions.push({ name: result.name, ...result.diag })
      }
      if (child || result.skip || result.todo) own.tests++
      child = undefined
    })
    return own
  }

  #subtest({ ok, diag }, { tests, failedAssertions, failuresBefore }, path) {
    if (failedAssertions.length > 0) this.#fail(path, failedAssertions)
    else if (ok && tests === 0) this.passed++
    else if (!ok && this.failures.length === failuresBefore) this.#fail(path, [diag])
  }

  /** An assertion of tap's own beside the files: mostly a second word on a file that ran out of time. */
  #runnerSays({ ok, name, diag }) {
    const known = this.failures.some((failure) => failure.name.startsWith(diag?.expired ?? name))
    if (!ok && !known) this.#fail([diag?.expired ?? name], [diag])
  }

  #fail(path, details) {
    this.failures.push({ name: path.join(' › '), details })
  }
}
