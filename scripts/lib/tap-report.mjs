import { Parser } from 'tap-parser'

/**
 * @typedef {object} FileReport
 * @property {number} passed
 * @property {{name: string, details: object[]}[]} failures
 * @property {{name: string, reason: string}[]} skips
 */

/**
 * Reads the TAP of a whole run as it comes, and keeps what a reader wants to know of it, by test file.
 * What counts is the test: a subtest that has no subtests of its own, or a file that has none.
 */
export class TapReport {
  /** @type {Map<string, FileReport>} */
  files = new Map()
  #parser = new Parser()

  /** @param {(result: import('tap-parser').Result, report: FileReport) => void} onFile called as each test file ends */
  constructor(onFile) {
    this.#collect(this.#parser, [])
    this.#parser.on('assert', (result) => onFile(result, this.#file(result.diag?.expired ?? result.name)))
    this.#parser.on('bailout', (reason) => this.#fail(['the run'], [{ bailout: reason }]))
  }

  write(text) {
    this.#parser.write(text)
  }

  end() {
    this.#parser.end()
  }

  #file(name) {
    let file = this.files.get(name)
    if (!file) this.files.set(name, (file = { passed: 0, failures: [], skips: [] }))
    return file
  }

  #collect(parser, path) {
    const own = { tests: 0, failedAssertions: [], failuresBefore: 0 }
    if (path.length > 0) own.failuresBefore = this.#file(path[0]).failures.length
    let child
    parser.on('child', (subtest) => {
      child = this.#collect(subtest, [...path, subtest.name])
    })
    parser.on('assert', (result) => {
      const here = [...path, result.name]
      if (result.skip || result.todo) {
        this.#file(here[0]).skips.push({
          name: here.join(' › '),
          reason: String(result.skip || `to do: ${result.todo}`)
        })
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
    else if (ok && tests === 0) this.#file(path[0]).passed++
    else if (!ok && this.#file(path[0]).failures.length === failuresBefore) this.#fail(path, [diag])
  }

  /** An assertion of tap's own beside the files: mostly a second word on a file that ran out of time. */
  #runnerSays({ ok, name, diag }) {
    const file = diag?.expired ?? name
    if (!ok && this.#file(file).failures.length === 0) this.#fail([file], [diag])
  }

  #fail(path, details) {
    this.#file(path[0]).failures.push({ name: path.join(' › '), details })
  }
}
