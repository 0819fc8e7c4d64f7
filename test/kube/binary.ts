import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { onPath } from '../support/on-path.ts'

const script = fileURLToPath(new URL('build.sh', import.meta.url))

let path: string | undefined

/** Where the control plane's binary of this checkout lies, built or not. */
export function controlPlaneBinary(): string {
  path ??= execFileSync('sh', [script, 'path'], { encoding: 'utf8' }).trim()
  return path
}

/** Builds the control plane where it is missing, which takes minutes; its progress goes to standard error. */
export function ensureControlPlane(): void {
  if (isExecutable(controlPlaneBinary())) return
  execFileSync('sh', [script], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Why a real control plane cannot be started here, or undefined where it can. */
export function controlPlaneUnavailable(): string | undefined {
  if (!onPath('openssl'))
    return 'openssl, which makes the certificates of the control plane, is not installed'
  if (isExecutable(controlPlaneBinary())) return undefined
  return onPath('go')
    ? 'the control plane is not built: run test/kube/build.sh (7 minutes, once)'
    : 'Go 1.25 is not installed, so the control plane cannot be built (test/kube/build.sh)'
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
