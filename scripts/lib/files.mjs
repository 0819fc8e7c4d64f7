import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Paths, relative to the directory, of all files below it but those of installed packages. */
export const filesBelow = (directory) =>
  readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isFile()) return [entry.name]
    if (!entry.isDirectory() || entry.name === 'node_modules') return []
    return filesBelow(join(directory, entry.name)).map((file) => join(entry.name, file))
  })
