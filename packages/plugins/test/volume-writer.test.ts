import t from 'tap'
import { lstat, readFile, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeVolumes } from '../src/kit/jobs/volume-writer.ts'
import type { Plan, PlannedFile, PlannedVolume } from '../src/kit/plan/plan.ts'
import { base64, planOf } from './support-plan.ts'

const planWith = (...volumes: PlannedVolume[]): Plan => ({ ...planOf({}), volumes })
const files = (name: string, ...list: PlannedFile[]): PlannedVolume => ({
  name,
  kind: 'files',
  files: list,
  secret: false
})
const file = (path: string, text: string, mode = 0o644): PlannedFile => ({ path, mode, base64: base64(text) })
const modeOf = async (path: string) => (await stat(path)).mode & 0o777

t.test('files appear with content and mode, in directories for their owner alone', async (t) => {
  const dir = t.testdir({})
  const plan = planWith(
    files('cfg', file('a', 'one'), file('deep/er/b', 'two', 0o400), file('group', 'g', 0o040)),
    { name: 'tmp', kind: 'emptyDir', memory: true },
    { name: 'host', kind: 'hostPath', path: '/data', type: '' }
  )
  const places = await writeVolumes(plan, dir)
  t.strictSame(Object.fromEntries(places), {
    cfg: join(dir, 'volumes/cfg'),
    tmp: join(dir, 'volumes/tmp'),
    host: '/data'
  })
  const at = (path: string) => join(dir, 'volumes/cfg', path)
  t.equal(await readFile(at('a'), 'utf8'), 'one')
  t.equal(await readFile(at('deep/er/b'), 'utf8'), 'two')
  t.equal(await modeOf(at('a')), 0o644)
  t.equal(await modeOf(at('deep/er/b')), 0o400)
  t.equal(await modeOf(at('group')), 0o440, 'the owner can read what the job must read')
  for (const path of ['..', '.', 'deep', 'deep/er', '../tmp']) t.equal(await modeOf(at(path)), 0o700, path)
})

t.test('new content replaces all of a volume at once; the same content changes nothing', async (t) => {
  const dir = t.testdir({})
  const place = join(dir, 'volumes/cfg')
  await writeVolumes(planWith(files('cfg', file('a', '1'), file('gone', 'x'))), dir)
  const before = await lstat(join(place, '..data'))
  await writeVolumes(planWith(files('cfg', file('a', '1'), file('gone', 'x'))), dir)
  t.equal((await lstat(join(place, '..data'))).ino, before.ino)
  await writeVolumes(planWith(files('cfg', file('a', '2'), file('new', 'y'))), dir)
  t.strictSame((await readdir(place)).filter((name) => !name.startsWith('..')).sort(), ['a', 'new'])
  t.equal(await readFile(join(place, 'a'), 'utf8'), '2')
  t.equal((await readdir(place)).length, 4, 'two names, ..data and one directory: nothing is left behind')
  t.equal(await readlink(join(place, 'a')), '..data/a')
})

t.test('a volume that a job replaced by a link is not written through', async (t) => {
  const dir = t.testdir({ elsewhere: {} })
  await writeVolumes(planWith(files('cfg', file('a', '1'))), dir)
  await rm(join(dir, 'volumes/cfg'), { recursive: true })
  await symlink(join(dir, 'elsewhere'), join(dir, 'volumes/cfg'))
  await t.rejects(
    writeVolumes(planWith(files('cfg', file('a', '2'))), dir),
    /is in the way and is no directory/
  )
  t.strictSame(await readdir(join(dir, 'elsewhere')), [])
})

t.test('links and files planted inside a volume are replaced, not followed', async (t) => {
  const dir = t.testdir({ target: 'untouched' })
  const place = join(dir, 'volumes/cfg')
  await writeVolumes(planWith(files('cfg', file('a', '1'))), dir)
  await rm(join(place, 'a'))
  await symlink(join(dir, 'target'), join(place, 'a'))
  await writeFile(join(place, 'planted'), 'x')
  await writeVolumes(planWith(files('cfg', file('a', '2'))), dir)
  t.equal(await readFile(join(dir, 'target'), 'utf8'), 'untouched')
  t.equal(await readFile(join(place, 'a'), 'utf8'), '2')
  t.notOk((await readdir(place)).includes('planted'))
})

t.test('paths that leave are refused even where a plan holds them', async (t) => {
  const dir = t.testdir({})
  await t.rejects(writeVolumes(planWith(files('cfg', file('../../x', '1'))), dir), /leaves its volume/)
  await t.rejects(writeVolumes(planWith(files('..', file('x', '1'))), dir), /no name of a volume/)
  await t.rejects(stat(join(dir, 'x')), { code: 'ENOENT' })
})
