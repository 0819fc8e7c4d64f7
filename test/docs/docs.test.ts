import t from 'tap'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errorsPage } from './errors-page.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

t.test('the page of errors says what the tables say', async (t) => {
  t.equal(
    await readFile(join(root, 'docs/reference/errors.md'), 'utf8'),
    errorsPage(),
    'run npm run docs after a change of a table'
  )
})

t.test('every link between the documents leads somewhere', async (t) => {
  const pages = ['README.md', 'CHANGELOG.md', 'examples/README.md']
  for (const entry of await readdir(join(root, 'docs'), { recursive: true }))
    if (entry.endsWith('.md')) pages.push(join('docs', entry))
  for (const page of pages) {
    const text = await readFile(join(root, page), 'utf8')
    for (const [, target] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g))
      if (!/^[a-z]+:/.test(target!))
        t.ok(existsSync(join(root, dirname(page), target!)), `${page} links to ${target}`)
  }
})

t.test('the README keeps to one screen of set-up and to 150 lines', async (t) => {
  const lines = (await readFile(join(root, 'README.md'), 'utf8')).split('\n')
  t.ok(lines.length < 150)
  const first = lines.slice(0, 14).join('\n')
  t.match(first, /^npm start/m)
  t.match(first, /^npm test/m)
})
