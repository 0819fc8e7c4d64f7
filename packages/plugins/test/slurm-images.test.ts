import { execFile } from 'node:child_process'
import { chown, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Value } from 'typebox/value'
import { imagesConf, ImageOptions, resolveImage } from '../src/kit/containers/images.ts'
import { busyboxRoot } from '../../../test/support/image-root.ts'
import { onPath } from '../../../test/support/on-path.ts'
import { registryMissing, startRegistry } from '../../../test/support/registry.ts'
import { requireReal } from '../../../test/support/require-real.ts'
import { accountDir, exists, findApptainer, identity } from './support-apptainer.ts'
import { until } from './support-supervisor.ts'

const call = promisify(execFile)
const program = new URL('../assets/apptainer/image.sh', import.meta.url).pathname
const optionsOf = (value: object = {}): ImageOptions =>
  Value.Parse(ImageOptions, Value.Default(ImageOptions, value))

t.test('names, schemes and paths say where an image is', async (t) => {
  const of = (image: string, root?: string, options = {}) => {
    const found = resolveImage(image, root, optionsOf(options))
    return found.kind === 'path' ? found.path : found.kind === 'remote' ? found.reference : found.kind
  }
  t.equal(of('host'), 'host')
  t.equal(of('ghcr.io/hosted/x'), 'docker://ghcr.io/hosted/x', 'only the word itself is the host')
  t.equal(of('python:3.12'), 'docker://python:3.12')
  t.equal(
    of('localhost:5000/a/b@sha256:' + 'a'.repeat(64)),
    'docker://localhost:5000/a/b@sha256:' + 'a'.repeat(64)
  )
  for (const kept of [
    'docker://a/b:1',
    'oras://ghcr.io/a/b:1',
    'library://a/b/c',
    'https://a.org/b.sif',
    '/cvmfs/a/b',
    '/p/c.sif'
  ])
    t.equal(of(kept), kept)
  t.equal(of('python', 'oras://reg.org/x'), 'oras://reg.org/x/python', 'the image root of the pod')
  t.equal(of('python', '/cvmfs/unpacked'), '/cvmfs/unpacked/python')
  t.equal(of('python', 'reg.org/x/'), 'docker://reg.org/x/python')
  t.equal(of('python', undefined, { prefix: 'oras://own/' }), 'oras://own/python')
  t.equal(of('lab:1', undefined, { map: { 'lab:1': '/sif/lab.sif' } }), '/sif/lab.sif')
  for (const bad of ['', 'a b', 'a;b', 'A$(id)', 'docker://', 'docker://a b', 'ftp://x/y', '/a/../b', 'x\ny'])
    t.equal(of(bad), 'invalid', JSON.stringify(bad))
  t.equal(of('/home/x.sif', undefined, { directories: ['/sif'] }), 'invalid')
  t.match(resolveImage('a b', undefined, optionsOf()), { why: /^InvalidImageName: "a b"/ })
})

t.test('images.conf is read by a shell as it was meant', async (t) => {
  const text = imagesConf(optionsOf({ cache: "/it's $HOME", limitBytes: 5, pull: 'submit' }))
  const { stdout } = await call('/bin/sh', ['-c', `${text}printf '%s|' "$cache" "$limit" "$elsewhere"`])
  t.equal(stdout, "/it's $HOME|5|1|")
})

t.test('the cache of images, with a real registry', { timeout: 180_000 }, async (t) => {
  const found = await findApptainer()
  const why =
    'why' in found ? found.why : (registryMissing() ?? (onPath('curl') ? undefined : 'curl is missing'))
  if (!requireReal(t, why) || 'why' in found) return
  const home = await accountDir(t)
  const registry = await startRegistry()
  t.teardown(() => registry.close())
  const root = await busyboxRoot(join(home, 'root'))
  const push = async (marker: string, name = 'bb') => {
    await writeFile(join(root, 'etc/marker'), `${marker}\n`)
    return registry.push(`lab/${name}:1`, root, { workingdir: '/work' })
  }
  const reference = `docker://${registry.host}/lab/bb:1`
  const cache = join(home, 'cache')
  const authFile = join(home, 'auth.json')
  await writeFile(authFile, registry.config, { mode: 0o600 })
  if (identity.uid !== undefined) await chown(authFile, identity.uid, identity.gid!)

  let jobs = 0
  const newJob = async (options: object) => {
    const dir = join(home, `job${jobs++}`)
    for (const part of ['c/main', 'run', 'state']) await mkdir(join(dir, part), { recursive: true })
    const all = optionsOf({ cache, authFile, pull: 'job', retrySeconds: 0, ...options })
    await writeFile(join(dir, 'images.conf'), imagesConf(all))
    return dir
  }
  const stateOf = (dir: string) => readFile(join(dir, 'state/i.main'), 'utf8').catch(() => '')
  const get = async (
    policy: string,
    options: object,
    image = reference,
    env: object = {},
    given?: string
  ) => {
    const dir = given ?? (await newJob(options))
    if (identity.uid !== undefined) await call('chown', ['-R', `${identity.uid}:${identity.gid}`, dir])
    const answer = await call('/bin/sh', [program, dir, 'main', found.tool, image, policy], {
      ...identity,
      env: { HOME: home, PATH: '/usr/bin:/bin', APPTAINER_NOHTTPS: '1', ...env }
    }).then(
      ({ stdout }) => ({ path: stdout.trim(), error: '' }),
      ({ stderr }: { stderr: string }) => ({ path: '', error: stderr })
    )
    const reason = await readFile(join(dir, 'run/main.reason'), 'utf8').catch(() => '')
    return { dir, reason, ...answer }
  }
  const blobs = async () => (await registry.requests()).filter((line) => /GET .*\/blobs\//.test(line)).length

  await t.test('what is not there and may not be pulled is said', async (t) => {
    t.match(await get('Never', {}), {
      error: /^Container image "127\S+" is not present with pull policy of Never\n$/,
      reason: 'ErrImageNeverPull'
    })
  })

  await t.test('many jobs at once pull once, and each has the image by a name of its own', async (t) => {
    await push('one')
    t.equal((await get('IfNotPresent', { cache: join(home, 'another') })).error, '')
    const once = await blobs()
    t.ok(once > 0)
    const all = await Promise.all(Array.from({ length: 6 }, () => get('IfNotPresent', {})))
    for (const { path, dir, error } of all) {
      t.equal(error, '')
      t.equal(path, join(dir, 'c/main/image.sif'))
      t.equal((await readFile(join(dir, 'c/main/image.pwd'), 'utf8')).trim(), '/work', 'WORKDIR of the image')
    }
    t.equal((await readdir(join(cache, 'sif'))).filter((name) => name.endsWith('.sif')).length, 1)
    t.equal(await blobs(), 2 * once, 'as much as for a single job')
    t.same(await readdir(join(cache, 'lock')), [])
    t.same(await readdir(join(cache, 'tmp')), [])
    const { stdout } = await call(found.tool, ['--silent', 'exec', all[0]!.path, 'cat', '/etc/marker'], {
      ...identity,
      cwd: '/',
      env: { HOME: home, PATH: '/usr/bin:/bin' }
    })
    t.equal(stdout, 'one\n')
  })

  await t.test('a tag that has moved is pulled where that is asked for, by its digest', async (t) => {
    await push('two')
    const before = await blobs()
    t.equal((await get('IfNotPresent', {})).error, '')
    t.equal(await blobs(), before, 'not where it is there')
    t.equal((await get('Always', {})).error, '')
    t.ok((await blobs()) > before, 'Always asks the registry')
    const after = await blobs()
    t.equal((await get('Always', {})).error, '')
    t.equal(await blobs(), after, 'and pulls nothing that has not changed')
    const names = (await readdir(join(cache, 'sif'))).filter((name) => name.endsWith('.sif'))
    t.equal(names.length, 2)
    for (const name of names) t.match(name, /^[0-9a-f]{64}\.sif$/, 'named by the digest')
  })

  await t.test('over its limit the least recently used goes, and jobs keep what they have', async (t) => {
    const held = await get('IfNotPresent', {})
    const sifs = (await readdir(join(cache, 'sif'))).filter((name) => name.endsWith('.sif'))
    for (const name of sifs) await utimes(join(cache, 'sif', name), 1, 1)
    await push('three')
    const { size } = await stat(held.path)
    t.equal((await get('Always', { limitBytes: Math.round(size * 1.5) })).error, '')
    const left = (await readdir(join(cache, 'sif'))).filter((name) => name.endsWith('.sif'))
    t.equal(left.length, 1)
    t.notOk(sifs.includes(left[0]!), 'the newest one')
    t.ok(await exists(held.path))
  })

  await t.test(
    'an image that cannot be pulled is an ErrImagePull with the words of the registry',
    async (t) => {
      const { error, reason } = await get('IfNotPresent', {}, `docker://${registry.host}/lab/nothing:1`)
      t.equal(reason, 'ErrImagePull')
      t.match(error, /^failed to pull image "127\.0\.0\.1:\d+\/lab\/nothing:1": .*manifest unknown/s)
      t.same(await readdir(join(cache, 'lock')), [], 'nobody waits for it')
    }
  )

  await t.test('a lock that its holder has left is taken over', async (t) => {
    const lock = join(cache, 'lock', (await push('four')).replace('sha256:', ''))
    await mkdir(lock)
    await utimes(lock, 1, 1)
    if (identity.uid !== undefined) await chown(lock, identity.uid, identity.gid!)
    t.equal((await get('Always', {})).error, '')
  })

  await t.test(
    'a job waits for what is pulled where it was submitted, and hears of its failure',
    async (t) => {
      const image = `docker://${registry.host}/lab/other:1`
      const elsewhere = { pull: 'submit', patienceSeconds: 60 }
      const submitter = { INTERLINK_PULLING: '1' }
      const waiting = get('IfNotPresent', elsewhere, image)
      const there = await newJob(elsewhere)
      const pulling = get('IfNotPresent', elsewhere, image, submitter, there)
      await until(
        async () =>
          /reason=(ErrImagePull|ImagePullBackOff)\nmessage=.*manifest unknown/.test(await stateOf(there)),
        'the pull that failed is told'
      )
      await push('five', 'other')
      t.match(await pulling, { error: '', path: /image\.sif$/ }, 'it is tried again')
      t.match(await waiting, { error: '', path: /image\.sif$/ })
      t.match(
        await stateOf(there),
        /reason=Pulled\nmessage=Successfully pulled image "127\S+" in \d+s\. Image size: \d+ bytes\./
      )
      t.match(
        await get('Always', { ...elsewhere, patienceSeconds: 1 }, image),
        { error: /was not there after 1 s/ },
        'Always waits for an answer of the registry, though the image is there'
      )
      const failed = await newJob(elsewhere)
      await writeFile(join(failed, 'c/main/pull.error'), 'ErrImagePull\nmanifest unknown\n')
      t.match(await get('IfNotPresent', elsewhere, `${image}-not`, {}, failed), {
        reason: 'ErrImagePull',
        error: /other:1-not": manifest unknown/
      })
    }
  )

  await t.test('who pulls for a job that is over ends', async (t) => {
    const dir = await newJob({ pull: 'submit' })
    await writeFile(join(dir, 'stop'), '')
    const { path } = await get('IfNotPresent', {}, `${reference}-not`, { INTERLINK_PULLING: '1' }, dir)
    t.equal(path, '')
  })

  await t.test(
    'what came with the credentials of one pod is for others only if the registry says so',
    async (t) => {
      const digest = await push('secret', 'team/private')
      const image = `docker://${registry.host}/lab/team/private@${digest}`
      const nobody = { authFile: undefined }
      t.match(await get('IfNotPresent', nobody, image), { error: /authentication required|unauthorized/i })
      const own = await newJob(nobody)
      await writeFile(join(own, 'c/main/auth.json'), registry.config)
      t.match(await get('IfNotPresent', nobody, image, {}, own), { error: '', path: /image\.sif$/ })
      t.match(await get('IfNotPresent', nobody, image), { path: '', reason: 'ErrImagePull' })
      t.match(await get('Never', nobody, image), { path: '', reason: 'ErrImageNeverPull' })
      const again = await newJob(nobody)
      await writeFile(join(again, 'c/main/auth.json'), registry.config)
      t.match(await get('Never', nobody, image, {}, again), { error: '' })
    }
  )
})
