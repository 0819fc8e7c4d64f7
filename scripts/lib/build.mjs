import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { bundleTypebox, typeboxEntries } from './bundle-typebox.mjs'
import { filesBelow } from './files.mjs'
import { root, step } from './step.mjs'

/** Where TypeBox is in one file for each entry; `exports` of the package has them as `./typebox`. */
const bundle = join(root, 'packages/interlink-api/dist/typebox')

/** Is there while all of dist belongs together: a build that is broken off leaves none, and `interlink` says so. */
const complete = join(root, 'packages/cli/dist/complete')

/**
 * Compiles the packages to their dist, and copies what is no TypeScript beside it, where a source is newer. What is
 * compiled has TypeBox from the bundle; its types, and modules of others, have it from the package of that name.
 */
export async function ensureBuilt() {
  const packages = readdirSync(join(root, 'packages')).filter((name) =>
    existsSync(join(root, 'packages', name, 'tsconfig.json'))
  )
  if (existsSync(complete) && packages.every(isFresh)) return
  rmSync(complete, { force: true })
  rmSync(bundle, { recursive: true, force: true })
  for (const name of packages) copyAssets(name)
  await step('Building', process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '--build',
    'tsconfig.build.json'
  ])
  packages.forEach(importBundle)
  await bundleTypebox(bundle)
  writeFileSync(complete, '')
}

function importBundle(name) {
  const directory = join(root, 'packages', name, 'dist')
  for (const file of filesBelow(directory).filter((file) => file.endsWith('.js'))) {
    const path = join(directory, file)
    const text = readFileSync(path, 'utf8')
    const changed = text.replace(/(?<=^(?:import|export|\}).* from ')typebox(?:\/\w+)?(?=';$)/gm, (entry) => {
      if (!Object.hasOwn(typeboxEntries, entry)) throw new Error(`${path}: ${entry} is not in the bundle`)
      return `@interlink-ts/interlink-api/${entry}`
    })
    if (changed !== text) writeFileSync(path, changed)
  }
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
