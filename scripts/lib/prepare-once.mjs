import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, say, step } from './step.mjs'

/**
 * Runs a script that prepares something of the tests once per machine, where it is missing and can be had.
 * @param {object} what
 * @param {readonly [string, ...string[]]} what.script of the checkout, and its words; with `path` behind them it only
 * prints where the thing is
 * @param {readonly [string, ...string[]]} what.needs a command that succeeds where the thing can be had
 * @param {string} what.lacking what is said where it does not
 * @param {string} what.name for people
 * @param {string} what.title what the person waits for
 * @param {{required: boolean}} options `required`: a failure ends the run
 */
export async function prepareOnce({ script, needs: [tool, ...args], lacking, name, title }, { required }) {
  const command = [join(root, script[0]), ...script.slice(1)]
  if (existsSync(execFileSync('sh', [...command, 'path'], { encoding: 'utf8' }).trim())) return
  if (spawnSync(tool, args).status !== 0) {
    say(lacking)
    return
  }
  try {
    await step(title, 'sh', command)
  } catch (error) {
    if (required) throw error
    say(`${error.message}\nGoing on without ${name}`)
  }
}
