import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const root = fileURLToPath(new URL('../../', import.meta.url))

export interface SourceFile {
  /** Relative to the root of the repository. */
  path: string
  text: string
}

/** The TypeScript below a directory of the repository. */
export function sourceFiles(directory: string): SourceFile[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) return /^(node_modules|dist|\.tap)$/.test(entry.name) ? [] : sourceFiles(path)
    return entry.name.endsWith('.ts') ? [{ path, text: readFileSync(join(root, path), 'utf8') }] : []
  })
}

/** What a file imports, statically, dynamically, by re-export or as a type: specifiers, relative ones as paths. */
export function importsOf({ path, text }: SourceFile): string[] {
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName }) =>
      fileName.startsWith('.') ? relative(root, resolve(root, dirname(path), fileName)) : fileName
    )
}
