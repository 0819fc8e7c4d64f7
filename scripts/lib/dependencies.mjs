import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, step } from './step.mjs'

/** Installs the npm packages where those in node_modules are not the ones that package-lock.json asks for. */
export async function ensureDependencies() {
  if (areInstalled()) return
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm']
  const [command, ...args] = [...npm, 'ci', '--no-audit', '--no-fund', '--loglevel=error']
  await step('Installing npm packages', command, args)
}

function areInstalled() {
  const installedLock = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(installedLock)) return false
  const installed = packagesOf(installedLock)
  return Object.entries(packagesOf(join(root, 'package-lock.json'))).every(
    ([path, { version, optional, peer }]) =>
      !path.startsWith('node_modules/') ||
      (installed[path] ? installed[path].version === version : optional || peer)
  )
}

const packagesOf = (lockfile) => JSON.parse(readFileSync(lockfile, 'utf8')).packages
