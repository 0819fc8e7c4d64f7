import { execFile, spawn } from 'node:child_process'
import { chown, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Value } from 'typebox/value'
import { imagesConf, ImageOptions, resolveImage } from '../src/slurm/images.ts'
import { requireReal } from '../../../test/support/require-real.ts'
import { accountDir, busyboxImage, exists, findApptainer, identity } from './support-apptainer.ts'
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
  const missing = await Promise.all(
    ['skopeo', 'umoci', 'docker-registry', 'curl'].map(async (name) =>
      (await call('which', [name]).catch(() => undefined)) ? undefined : `${name} is not installed`
    )
  )
  const why = 'why' in found ? found.why : missing.find(Boolean)
  if (!requireReal(t, why) || 'why' in found) return
  const home = await accountDir(t)
  const port = await freePort()
  const requests = await registry(home, port)
  const push = await publish(home, port)
  const reference = `docker://127.0.0.1:${port}/lab/bb:1`
  const cache = join(home, 'cache')

  let jobs = 0
  const get = async (policy: string, options: object = {}, image = reference, env: object = {}) => {
    const dir = join(home, `job${jobs++}`)
    await mkdir(join(dir, 'c', 'main'), { recursive: true })
    await writeFile(join(dir, 'images.conf'), imagesConf(optionsOf({ cache, pull: 'job', ...options })))
    if (identity.uid !== undefined) await call('chown', ['-R', `${identity.uid}:${identity.gid}`, dir])
    const answer = await call('/bin/sh', [program, dir, 'main', found.tool, image, policy], {
      ...identity,
      env: { HOME: home, PATH: '/usr/bin:/bin', APPTAINER_NOHTTPS: '1', ...env }
    }).then(
      ({ stdout }) => ({ path: stdout.trim(), error: '' }),
      ({ stderr }: { stderr: string }) => ({ path: '', error: stderr })
    )
    return { dir, ...answer }
  }
  const blobs = async () => (await requests()).filter((line) => /GET .*\/blobs\//.test(line)).length

  await t.test('what is not there and may not be pulled is said', async (t) => {
    t.match(await get('Never'), { error: /^ErrImageNeverPull: / })
  })

  await t.test('many jobs at once pull once, and each has the image by a name of its own', async (t) => {
    await push('one')
    t.equal((await get('IfNotPresent', { cache: join(home, 'another') })).error, '')
    const once = await blobs()
    t.ok(once > 0)
    const all = await Promise.all(Array.from({ length: 6 }, () => get('IfNotPresent')))
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
    t.equal((await get('IfNotPresent')).error, '')
    t.equal(await blobs(), before, 'not where it is there')
    t.equal((await get('Always')).error, '')
    t.ok((await blobs()) > before, 'Always asks the registry')
    const after = await blobs()
    t.equal((await get('Always')).error, '')
    t.equal(await blobs(), after, 'and pulls nothing that has not changed')
    const names = (await readdir(join(cache, 'sif'))).filter((name) => name.endsWith('.sif'))
    t.equal(names.length, 2)
    for (const name of names) t.match(name, /^[0-9a-f]{64}\.sif$/, 'named by the digest')
  })

  await t.test('over its limit the least recently used goes, and jobs keep what they have', async (t) => {
    const held = await get('IfNotPresent')
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
    'an image that cannot be pulled is an ErrImagePull with the words of the runtime',
    async (t) => {
      const { error } = await get('IfNotPresent', {}, `docker://127.0.0.1:${port}/lab/nothing:1`)
      t.match(error, /^ErrImagePull: docker:\/\/127\.0\.0\.1:\d+\/lab\/nothing:1: .*(unknown|not found|404)/s)
      t.same(await readdir(join(cache, 'lock')), [], 'nobody waits for it')
    }
  )

  await t.test('a lock that its holder has left is taken over', async (t) => {
    await push('four')
    const digest = await push.digest()
    await mkdir(join(cache, 'lock', digest))
    await utimes(join(cache, 'lock', digest), 1, 1)
    if (identity.uid !== undefined) await chown(join(cache, 'lock', digest), identity.uid, identity.gid!)
    t.equal((await get('Always')).error, '')
  })

  await t.test(
    'a job waits for what is pulled where it was submitted, and hears of its failure',
    async (t) => {
      const image = `docker://127.0.0.1:${port}/lab/other:1`
      await push('five', 'other')
      const waiting = get('IfNotPresent', { pull: 'submit', patienceSeconds: 60 }, image)
      t.equal((await get('IfNotPresent', { pull: 'submit' }, image, { INTERLINK_PULLING: '1' })).error, '')
      t.match(await waiting, { error: '', path: /image\.sif$/ })
      t.match(
        await get('Always', { pull: 'submit', patienceSeconds: 1 }, image),
        { error: /was not there after 1 s/ },
        'Always waits for an answer of the registry, though the image is there'
      )
      const failed = await get('IfNotPresent', { pull: 'submit' }, `${image}-not`, { INTERLINK_PULLING: '1' })
      t.match(await readFile(join(failed.dir, 'c/main/pull.error'), 'utf8'), /^ErrImagePull/)
      t.match(await get('IfNotPresent', { pull: 'submit', patienceSeconds: 1 }, `${image}-not`), {
        error: /was not there after 1 s/
      })
    }
  )
})

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close((error) => (error ? reject(error) : resolve(port)))
    })
  })
}

/** A registry; the answer reads the requests it has had. */
async function registry(home: string, port: number): Promise<() => Promise<string[]>> {
  const config = join(home, 'registry.yml')
  const log = join(home, 'registry.log')
  await writeFile(
    config,
    `version: 0.1\nlog: {accesslog: {disabled: false}}\nstorage: {filesystem: {rootdirectory: ${home}/registry}}\nhttp: {addr: "127.0.0.1:${port}"}\n`
  )
  const child = spawn(
    '/bin/sh',
    ['-c', 'exec docker-registry serve "$1" >"$2" 2>&1', 'registry', config, log],
    {
      stdio: 'ignore'
    }
  )
  t.teardown(() => child.kill('SIGKILL'))
  await until(
    () =>
      fetch(`http://127.0.0.1:${port}/v2/`).then(
        ({ ok }) => ok,
        () => false
      ),
    'the registry answers'
  )
  return async () => (await readFile(log, 'utf8')).split('\n')
}

/** Puts an image with a marker into the registry. */
async function publish(home: string, port: number) {
  const root = await busyboxImage(home)
  let last = ''
  const push = async (marker: string, name = 'bb') => {
    const oci = join(home, `oci-${marker}`)
    const umoci = (...args: string[]) => call('umoci', args, { cwd: home })
    await umoci('init', '--layout', oci)
    await umoci('new', '--image', `${oci}:bb`)
    await umoci('unpack', '--image', `${oci}:bb`, `${oci}-bundle`)
    await call('cp', ['-a', `${root}/.`, `${oci}-bundle/rootfs/`])
    await writeFile(join(`${oci}-bundle`, 'rootfs/etc/marker'), `${marker}\n`)
    await umoci('repack', '--image', `${oci}:bb`, `${oci}-bundle`)
    await umoci('config', '--image', `${oci}:bb`, '--config.workingdir', '/work')
    last = `127.0.0.1:${port}/lab/${name}:1`
    await call('skopeo', ['copy', '-q', '--dest-tls-verify=false', `oci:${oci}:bb`, `docker://${last}`])
  }
  return Object.assign(push, {
    digest: async () => {
      const { stdout } = await call('skopeo', [
        'inspect',
        '--tls-verify=false',
        '--format',
        '{{.Digest}}',
        `docker://${last}`
      ])
      return stdout.trim().replace('sha256:', '')
    }
  })
}
