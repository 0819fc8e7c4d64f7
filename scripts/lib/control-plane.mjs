import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, say, step } from './step.mjs'

const script = join(root, 'test/kube/build.sh')

/** Builds the real Kubernetes control plane of the tests where it is missing and Go is there. */
export async function ensureControlPlane({ required }) {
  if (existsSync(execFileSync('sh', [script, 'path'], { encoding: 'utf8' }).trim())) return
  if (spawnSync('go', ['version']).status !== 0) {
    say('Go 1.25 or later is not installed: tests on the real Kubernetes control plane cannot run')
    return
  }
  try {
    await step('Building the Kubernetes control plane, once per machine, about 7 minutes', 'sh', [script])
  } catch (error) {
    if (required) throw error
    say(`${error.message}\nGoing on without the real Kubernetes control plane`)
  }
}
