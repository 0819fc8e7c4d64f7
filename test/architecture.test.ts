import t from 'tap'
import { importsOf, sourceFiles, type SourceFile } from './support/imports.ts'

const scope = '@interlink-ts/'
const maxLines = 400

/** The one direction of dependency: what each package's sources may import of ours. */
const allowed: Record<string, readonly string[]> = {
  'interlink-api': [],
  'vk-core': [
    'interlink-api/wire',
    'interlink-api/client',
    'interlink-api/errors',
    'interlink-api/streams',
    'interlink-api/telemetry',
    'interlink-api/config'
  ],
  plugins: [
    'interlink-api/wire',
    'interlink-api/errors',
    'interlink-api/streams',
    'interlink-api/telemetry',
    'interlink-api/config'
  ],
  'dev-cluster': [],
  cli: ['interlink-api', 'vk-core', 'plugins', 'dev-cluster']
}

/** Folders written as if packages of their own. */
const alone = ['packages/vk-core/src/kube', 'packages/vk-core/src/streams']

const covers = (entry: string, target: string): boolean => target === entry || target.startsWith(`${entry}/`)

function wrongArrows(file: SourceFile): string[] {
  const home = /^packages\/([^/]+)\/src\//.exec(file.path)?.[1]
  if (home === undefined) return []
  const may = allowed[home]
  if (!may) return [`${file.path}: package ${home} has no place in the direction of dependency`]
  return importsOf(file)
    .filter((target) => {
      if (target.startsWith(scope)) return !may.some((entry) => covers(entry, target.slice(scope.length)))
      if (!target.startsWith('packages/')) return /^(test|scripts)\//.test(target)
      const folder = alone.find((entry) => covers(entry, file.path))
      return !covers(folder ?? `packages/${home}`, target) && !isErrorTable(home, target)
    })
    .map((target) => `${file.path} imports ${target}`)
}

const isErrorTable = (home: string, target: string): boolean => target === `packages/${home}/src/errors.ts`

function cycle(files: readonly SourceFile[]): string[] | undefined {
  const arrows = new Map<string, Set<string>>()
  for (const file of files) {
    const home = file.path.split('/')[1]!
    const targets = importsOf(file)
      .filter((target) => target.startsWith(scope))
      .map((target) => target.slice(scope.length).split('/')[0]!)
    arrows.set(home, new Set([...(arrows.get(home) ?? []), ...targets]))
  }
  const visit = (name: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name]
    for (const next of arrows.get(name) ?? []) {
      const found = visit(next, [...path, name])
      if (found) return found
    }
    return undefined
  }
  for (const name of arrows.keys()) {
    const found = visit(name, [])
    if (found) return found
  }
  return undefined
}

const file = (path: string, text: string): SourceFile => ({ path, text })

t.test('no import points up, or sideways out of a folder that stands alone', async (t) => {
  t.same(sourceFiles('packages').flatMap(wrongArrows), [])
})

t.test('packages import each other in no circle', async (t) => {
  const sources = sourceFiles('packages').filter(({ path }) => /^packages\/[^/]+\/src\//.test(path))
  t.equal(cycle(sources), undefined)
})

t.test(`no file is longer than ${maxLines} lines`, async (t) => {
  const long = [...sourceFiles('packages'), ...sourceFiles('test')]
    .filter(({ path }) => !path.endsWith('.test.ts'))
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > maxLines)
  t.same(long, [])
})

t.test('a wrong import is seen, however it is written', async (t) => {
  const wrong = [
    file('packages/plugins/src/a.ts', "import { x } from '@interlink-ts/vk-core/node'"),
    file('packages/plugins/src/a.ts', "import type { X } from '@interlink-ts/interlink-api/server'"),
    file('packages/plugins/src/kit/a.ts', "export * from '../../../vk-core/src/node/index.ts'"),
    file('packages/interlink-api/src/a.ts', "const x = await import('@interlink-ts/plugins/kit')"),
    file('packages/vk-core/src/kube/a.ts', "import { x } from '../model/index.ts'"),
    file('packages/vk-core/src/streams/a.ts', "export { x } from '../kube/index.ts'"),
    file('packages/dev-cluster/src/a.ts', "type X = import('@interlink-ts/interlink-api/wire').Pod"),
    file('packages/cli/src/a.ts', "import { x } from '../../../test/support/stack.ts'"),
    file('packages/unheard-of/src/a.ts', '')
  ]
  for (const source of wrong) t.equal(wrongArrows(source).length, 1, `${source.path}: ${source.text}`)
})

t.test('a right import is let pass', async (t) => {
  const right = [
    file('packages/plugins/src/a.ts', "import { Pod } from '@interlink-ts/interlink-api/wire'"),
    file('packages/vk-core/src/kube/a.ts', "import { x } from './b.ts'\nimport { E } from '../errors.ts'"),
    file(
      'packages/vk-core/src/node/a.ts',
      "import { x } from '../kube/index.ts'\nimport { y } from 'undici'"
    ),
    file('packages/cli/src/a.ts', "const x = await import('@interlink-ts/vk-core/node')")
  ]
  t.same(right.flatMap(wrongArrows), [])
})

t.test('a circle is seen and named', async (t) => {
  const circle = cycle([
    file('packages/a/src/x.ts', "import '@interlink-ts/b/x'"),
    file('packages/b/src/x.ts', "import '@interlink-ts/c'"),
    file('packages/c/src/x.ts', "import type { X } from '@interlink-ts/b'")
  ])
  t.same(circle, ['b', 'c', 'b'])
})
