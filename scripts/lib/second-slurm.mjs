import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, say, step } from './step.mjs'

const script = join(root, 'test/slurm/second-slurm.sh')

/** Prepares the second version of Slurm that the tests run with, where it is missing and Debian's apt is there. */
export async function ensureSecondSlurm({ required }) {
  if (existsSync(execFileSync('sh', [script, 'path'], { encoding: 'utf8' }).trim())) return
  if (spawnSync('apt-get', ['--version']).status !== 0) {
    say('Slurm 24.11 comes from Debian’s apt, which is not here: its tests cannot run')
    return
  }
  try {
    await step('Fetching Slurm 24.11, once per machine', 'sh', [script])
  } catch (error) {
    if (required) throw error
    say(`${error.message}\nGoing on without Slurm 24.11`)
  }
}
