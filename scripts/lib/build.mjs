import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { filesBelow } from './files.mjs'
import { root, step } from './step.mjs'

/** Compiles the packages to their dist, and copies what is no TypeScript beside it, where a source is newer. */
export async function ensureBuilt() {
  const packages = readdirSync(join(root, 'packages')).filter((name) =>
    existsSync(join(root, 'packages', name, 'tsconfig.json'))
  )
  if (packages.every(isFresh)) return
  for (const name of packages) copyAssets(name)
  await step('Building', process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '--build',
    'tsconfig.build.json'
  ])
}

function isFresh(name) {
  const directory = join(root, 'packages', name)
  const stamp = join(directory, 'tsconfig.tsbuildinfo')
  if (!existsSync(stamp)) return false
  const built = statSync(stamp).mtimeMs
  const sources = filesBelow(join(directory, 'src')).map((file) => join(directory, 'src', file))
  const settings = ['tsconfig.json', 'package.json'].map((file) => join(directory, file))
  return [...sources, ...settings, join(root, 'tsconfig.json')].every(
    (file) => statSync(file).mtimeMs <= built
  )
}

function copyAssets(name) {
  const directory = join(root, 'packages', name)
  for (const file of filesBelow(join(directory, 'src'))) {
    if (/\.[cm]?ts$/.test(file)) continue
    mkdirSync(dirname(join(directory, 'dist', file)), { recursive: true })
    copyFileSync(join(directory, 'src', file), join(directory, 'dist', file))
  }
}
