import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { IncusConnection } from '../../packages/plugins/src/incus/rest/incus-connection.ts'
import { InstanceFiles } from '../../packages/plugins/src/incus/rest/instance-files.ts'
import type { Lifecycle } from '../../packages/plugins/src/incus/rest/event-stream.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'

const busybox = (name: string, config: Record<string, string> = {}) => ({
  json: { name, type: 'container', source: { type: 'image', alias: 'busybox' }, config, start: true }
})

t.test('a file whose helper in Incus has just ended is pushed once more', async (t) => {
  const gone = 'dial unix /proc/self/fd/66/forkfile.sock: connect: no such file or directory'
  const answers = [
    [500, { type: 'error', error: gone, error_code: 500 }],
    [200, { type: 'sync', metadata: {} }],
    [403, { type: 'error', error: 'not authorized', error_code: 403 }]
  ] as const
  const heard: string[] = []
  const server = createServer((request, response) => {
    const [status, body] = answers[heard.length]!
    heard.push(`${request.method} ${request.url}`)
    request.resume().on('end', () => response.writeHead(status).end(JSON.stringify(body)))
  })
  const socket = join(await mkdtemp(join(tmpdir(), 'interlink-rest-')), 'incus.sock')
  t.teardown(() => rm(dirname(socket), { recursive: true }))
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  const incus = new IncusConnection({ url: `unix://${socket}` })
  t.teardown(async () => {
    await incus.close()
    await new Promise((resolve) => server.close(resolve))
  })
  const files = new InstanceFiles(incus, 'one')
  await files.push('/job', { type: 'directory', mode: 0o700 })
  t.equal(heard.length, 2)
  t.equal(heard[0], heard[1])
  await t.rejects(files.push('/job', { type: 'directory', mode: 0o700 }), { message: 'not authorized' })
})

void t.test('the REST API of a real Incus', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab()
  t.teardown(() => lab.close())
  const connect = (...args: ConstructorParameters<typeof IncusConnection>) => {
    const incus = new IncusConnection(...args)
    t.teardown(() => incus.close())
    return incus
  }
  const local = () => connect({ url: `unix://${lab.socket}` })

  t.test('an instance is created, looked at and deleted; each change is over when it resolves', async (t) => {
    const incus = local()
    const seen: Lifecycle[] = []
    incus.events.on('lifecycle', (event) => seen.push(event))
    await incus.events.open()
    await incus.change('POST', '/1.0/instances', busybox('one', { 'user.interlink.uid': 'uid-1' }))
    const [found] = await incus.get<{ name: string; status: string }[]>('/1.0/instances', {
      recursion: 1,
      filter: 'config.user.interlink.uid eq uid-1'
    })
    t.match(found, { name: 'one', status: 'Running' })
    await incus.change('PUT', '/1.0/instances/one/state', { json: { action: 'stop', force: true } })
    await incus.change('DELETE', '/1.0/instances/one')
    t.same(await incus.get('/1.0/instances'), [])
    const actions = ['instance-created', 'instance-started', 'instance-stopped', 'instance-deleted']
    await eventually(() => actions.every((action) => seen.some((event) => event.action === action)))
    t.match(
      seen.find(({ action }) => action === 'instance-deleted'),
      { name: 'one', project: 'default' }
    )
  })

  t.test('a refusal has the status and the words of Incus, be it at once or at the end', async (t) => {
    const incus = local()
    await t.rejects(incus.get('/1.0/instances/none'), { name: 'IncusError', status: 404, isMissing: true })
    await t.rejects(incus.change('POST', '/1.0/instances', busybox('no_name')), {
      status: 400,
      message: /alphanumeric and hyphen/
    })
    await t.rejects(incus.change('POST', '/1.0/instances', busybox('odd', { 'limits.memory': '64Mi' })), {
      message: /Invalid value: 64Mi/
    })
    await t.rejects(
      incus.change('POST', '/1.0/instances', {
        json: { name: 'bare', type: 'container', source: { type: 'image', alias: 'none' } }
      }),
      { name: 'IncusError' }
    )
    t.same(await incus.get('/1.0/instances'), [])
  })

  t.test('twenty operations at once each have their own end', async (t) => {
    const incus = local()
    const names = Array.from({ length: 20 }, (_, index) => `at-once-${index}`)
    const make = (name: string) =>
      incus.change('POST', '/1.0/instances', { json: { ...busybox(name).json, start: false } })
    await Promise.all(names.map(make))
    t.equal((await incus.get<string[]>('/1.0/instances')).length, names.length)
    const again = await Promise.allSettled(names.map(make))
    t.ok(again.every(({ status }) => status === 'rejected'))
    await Promise.all(names.map((name) => incus.change('DELETE', `/1.0/instances/${name}`)))
  })

  t.test('files go in and come out of an instance that is stopped', async (t) => {
    const incus = local()
    await incus.change('POST', '/1.0/instances', { json: { ...busybox('files').json, start: false } })
    const files = new InstanceFiles(incus, 'files')
    await files.push('/job', { type: 'directory', mode: 0o700 })
    const bytes = Buffer.from([0, 10, 255, 39])
    await files.push('/job/a b?&', { type: 'file', mode: 0o600, content: bytes })
    await files.push('/job/link', { type: 'symlink', target: 'a b?&' })
    t.same(await files.read('/job/a b?&'), bytes)
    t.same((await files.list('/job'))?.sort(), ['a b?&', 'link'])
    t.equal(await files.read('/job/none'), undefined)
    t.equal(await files.list('/none'), undefined)
    t.equal(await files.read('/job'), undefined, 'a directory is no file')
    t.equal(await files.read('/job/link'), undefined, 'nor is a link')
    await t.rejects(files.push('/none/file', { type: 'file', mode: 0o600, content: '' }), {
      name: 'IncusError'
    })
    await incus.change('DELETE', '/1.0/instances/files')
  })

  t.test('a client certificate that a token lets in, and a server that is known by its own', async (t) => {
    const dir = t.testdir()
    const [cert, key] = [join(dir, 'client.crt'), join(dir, 'client.key')]
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    execFileSync('openssl', [...request, '-subj', '/CN=test', '-keyout', key, '-out', cert], {
      stdio: 'ignore'
    })
    const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
    const incus = connect({ url: lab.url, tls: { ...pair, ca: lab.certificate } })
    t.match(await incus.get('/1.0'), { auth: 'untrusted' })
    await t.rejects(incus.get('/1.0/instances'), { name: 'IncusError', message: 'not authorized' })
    await incus.change('POST', '/1.0/certificates', {
      json: { type: 'client', trust_token: await lab.token('test') }
    })
    await incus.change('POST', '/1.0/instances', { json: { ...busybox('tls').json, start: false } })
    await incus.change('DELETE', '/1.0/instances/tls')

    const second = await startIncusLab()
    t.teardown(() => second.close())
    const remote = connect({ url: second.url, tls: { ...pair, ca: second.certificate } })
    const redeem = async (token: string) =>
      remote.change('POST', '/1.0/certificates', { json: { type: 'client', trust_token: token } })
    await second.run('project', 'create', 'guests')
    await t.rejects(redeem(await lab.token('other')), { name: 'IncusError' }, 'a token is of one server')
    await redeem(await second.token('guest', ['guests']))
    t.same(await remote.get('/1.0/instances', { project: 'guests' }), [])
    await t.rejects(remote.get('/1.0/instances'), { message: /permission/ })

    const stranger = connect({ url: lab.url, tls: { ...pair, ca: second.certificate } })
    await t.rejects(stranger.get('/1.0'), { name: 'IncusUnreachable', message: /self-signed|certificate/ })
  })

  t.test(
    'a daemon that is killed is heard again when it is back, and what was waited for is decided',
    async (t) => {
      const incus = local()
      await incus.change('POST', '/1.0/instances', busybox('lives'))
      const facts = await incus.facts()
      t.equal(await incus.facts(), facts, 'asked for once')
      const heard: string[] = []
      incus.events.on('lost', () => heard.push('lost'))
      incus.events.on('resumed', () => heard.push('resumed'))
      const waits = incus.change('POST', '/1.0/instances/lives/exec', {
        json: {
          command: ['sleep', '600'],
          'wait-for-websocket': false,
          'record-output': false,
          interactive: false
        }
      })
      const decided = waits.then(
        () => 'ended',
        () => 'refused'
      )
      await lab.kill()
      await t.rejects(incus.get('/1.0'), { name: 'IncusUnreachable' })
      await eventually(() => heard.includes('lost'))
      await lab.start()
      await eventually(() => heard.at(-1) === 'resumed')
      t.equal(await decided, 'refused')
      t.not(await incus.facts(), facts, 'asked for again')
      t.match(await incus.facts(), { environment: { server_version: /^\d/ } })
      t.match(await incus.get('/1.0/instances/lives'), { status: 'Running' })
      const stopped = new Promise<Lifecycle>((resolve) => incus.events.on('lifecycle', resolve))
      await incus.change('PUT', '/1.0/instances/lives/state', { json: { action: 'stop', force: true } })
      t.match(await stopped, { name: 'lives' })
    }
  )
})
