import { root } from './step.mjs'

/** The entries of TypeBox that are in use, each in one file of `directory`; what they share is in files beside them. */
export async function bundleTypebox(directory) {
  const { build } = await import('esbuild')
  await build({
    absWorkingDir: root,
    entryPoints: { index: 'typebox', value: 'typebox/value', compile: 'typebox/compile' },
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error'
  })
}
