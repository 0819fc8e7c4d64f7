// Module hooks that run TypeScript files as they are: Node 20 does not strip types by itself. What was made of a file
// is kept: of two hundred test files only the first pays for what they all import.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { bundleTypebox, typeboxEntries } from './bundle-typebox.mjs'
import { keptDirectory, keptText } from './kept.mjs'
import { root } from './step.mjs'

function versionOf(name) {
  try {
    return JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version
  } catch (cause) {
    throw new Error(`${name} is not installed as package-lock.json has it; run npm ci`, { cause })
  }
}

const settings = {
  loader: 'ts',
  target: 'es2023',
  sourcemap: 'inline',
  sourcesContent: false,
  tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } }
}
const compiler = JSON.stringify([versionOf('esbuild'), settings])

let bundle

export async function resolve(specifier, context, next) {
  if (!Object.hasOwn(typeboxEntries, specifier)) return next(specifier, context)
  bundle ??= keptDirectory(`typebox-${versionOf('typebox')}-${versionOf('esbuild')}`, bundleTypebox).catch(
    () => undefined
  )
  const directory = await bundle
  if (!directory) return next(specifier, context)
  const file = join(directory, `${typeboxEntries[specifier]}.mjs`)
  return { url: pathToFileURL(file).href, format: 'module', shortCircuit: true }
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context)
  const sourcefile = fileURLToPath(url)
  const text = await readFile(sourcefile, 'utf8')
  const key = createHash('sha256').update(`${compiler}\n${sourcefile}\n${text}`).digest('hex')
  const name = `ts/${relative(root, sourcefile).replaceAll('/', '~')}.js`
  const source = await keptText(name, key, async () => {
    const { transform } = await import('esbuild')
    return (await transform(text, { ...settings, sourcefile })).code
  })
  return { format: 'module', source, shortCircuit: true }
}
