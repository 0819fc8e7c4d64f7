// TypeBox is 680 modules, which take half a second of every start to load one by one. Our packages ship it as one file
// for each of its entries.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from './step.mjs'

/** What is imported of TypeBox, and the name of its file. */
export const typeboxEntries = { typebox: 'index', 'typebox/value': 'value', 'typebox/compile': 'compile' }

/** Writes the files of the entries into `directory`, and beside them what they share. */
export async function bundleTypebox(directory) {
  const { build } = await import('esbuild')
  const license = await readFile(join(root, 'node_modules/typebox/license'), 'utf8')
  await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(Object.entries(typeboxEntries).map(([entry, name]) => [name, entry])),
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    banner: { js: `/*! TypeBox\n${license.replaceAll('*/', '* /')}*/` },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error'
  })
}
