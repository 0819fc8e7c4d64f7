import t from 'tap'
import { chmodSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { makeDirectories, ownDirectory } from '../src/config/index.ts'

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

t.test('directories are made with all above them, and what is there stays as it is', async (t) => {
  const dir = t.testdir({ there: {}, file: '' })
  chmodSync(join(dir, 'there'), 0o755)
  await makeDirectories(join(dir, 'there/a/b'), 0o700)
  await makeDirectories(join(dir, 'there/a/b'), 0o700)
  t.equal(modeOf(join(dir, 'there/a/b')), '700')
  t.equal(modeOf(join(dir, 'there')), '755')
  await t.rejects(makeDirectories(join(dir, 'file/a'), 0o700), { code: 'ENOTDIR' })
})

t.test('a file system that takes no directories is an error and no endless attempt', async (t) => {
  await t.rejects(makeDirectories('/proc/interlink/a', 0o700), { code: 'ENOENT' })
})

t.test('a directory that others use is neither closed to them nor taken', async (t) => {
  const dir = t.testdir({ theirs: { file: '' }, empty: {}, ours: { mark: '', job: {} } })
  for (const name of ['theirs', 'empty', 'ours']) chmodSync(join(dir, name), 0o755)
  await t.rejects(ownDirectory(join(dir, 'theirs'), 'mark'), /open to others and holds what is theirs/)
  t.equal(modeOf(join(dir, 'theirs')), '755')
  t.ok(existsSync(join(dir, 'theirs/file')))
  for (const name of ['empty', 'ours', 'new']) {
    await ownDirectory(join(dir, name), 'mark')
    t.equal(modeOf(join(dir, name)), '700', name)
  }
  if (process.getuid!() !== 0)
    await t.rejects(ownDirectory('/', 'mark'), /belongs to uid 0; expected a directory of this account/)
})
