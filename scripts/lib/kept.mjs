// What was made from sources and is used again: below node_modules, where `npm ci` takes it away.
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { root } from './step.mjs'

const cache = join(root, 'node_modules/.cache/interlink-ts')

/**
 * The text kept under `name`, if it was made for `key`; else that which `make` resolves to, kept from now on.
 * An account that may not write there works as well, and more slowly.
 */
export async function keptText(name, key, make) {
  const file = join(cache, name)
  const mark = `\n// ${key}\n`
  const text = await readFile(file, 'utf8').catch(() => '')
  if (text.endsWith(mark)) return text
  const made = (await make()) + mark
  const part = `${file}.${randomBytes(6).toString('hex')}`
  await mkdir(dirname(file), { recursive: true })
    .then(() => writeFile(part, made))
    .then(() => rename(part, file))
    .catch(() => rm(part, { force: true }))
  return made
}

/**
 * The directory kept under `name`; `make` fills a new one. Of two processes at once, the first one's is kept.
 * @throws where it is not there yet and this account may not write there
 */
export async function keptDirectory(name, make) {
  const directory = join(cache, name)
  if (existsSync(directory)) return directory
  const part = `${directory}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(part, { recursive: true })
    await make(part)
    await rename(part, directory)
  } catch (error) {
    await rm(part, { recursive: true, force: true })
    if (!existsSync(directory)) throw error
  }
  return directory
}
