import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createServer } from 'node:net'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { Type } from 'typebox'
import t from 'tap'
import { loadYamlConfig } from '../src/config/index.ts'
import { loadApiConfig, startApi } from '../src/server/index.ts'
import { clientOf, double } from './helpers.ts'
import { answer } from './plugin-double.ts'

const written = (t: { testdir(): string }, text: string): string => {
  const path = join(t.testdir(), 'api.yaml')
  writeFileSync(path, text)
  return path
}

const shortDirectory = (t: { teardown(close: () => unknown): unknown }): string => {
  const dir = mkdtempSync(join(tmpdir(), 'ilapi-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

t.test('our own file, with defaults', async (t) => {
  const path = written(
    t,
    'listen: unix:///run/interlink/api.sock\nplugins:\n  - name: slurm\n    url: http://127.0.0.1:4000\n    createBody: array\n    nodes: [hpc]\n'
  )
  t.match(await loadApiConfig({ path }), {
    listen: 'unix:///run/interlink/api.sock',
    socketMode: '0600',
    bodyLimit: 4194304,
    insecure: false,
    plugins: [{ name: 'slurm', url: 'http://127.0.0.1:4000', createBody: 'array', nodes: ['hpc'] }]
  })
})

t.test('what is wrong in it is named by file, line, key and what was expected', async (t) => {
  const cases: [text: string, message: RegExp][] = [
    [
      'plugins:\n  - name: a\n    url: http://x\nbodyLimit: lots\n',
      /api\.yaml:4: bodyLimit: expected integer, found a string$/
    ],
    [
      'plugins:\n  - name: a\n    url: http://x\n    bodyshape: array\n',
      /api\.yaml:4: plugins\[0\]\.bodyshape: there is no such key; expected name, url, createBody, nodes/
    ],
    [
      'plugins:\n  - name: a\n    url: http://x\n  - name: b\n',
      /api\.yaml:4: plugins\[1\]\.url: expected a value, found nothing$/
    ],
    ['listen: http://127.0.0.1:1\n', /api\.yaml:1: plugins: expected a value, found nothing$/],
    [
      'plugins:\n  - name: a\n    url: http://x\n    createBody: list\n',
      /api\.yaml:4: plugins\[0\]\.createBody: expected "object" or "array", found a string$/
    ],
    ['plugins:\n  - { name: a, url: x }\n', /api\.yaml:2: plugins\[0\]\.url: expected http:\/\/host:port, /],
    ['plugins: &a\n  - *a\n', /api\.yaml:1: .*100 levels/],
    ['\tlisten: x\n', /api\.yaml:1: tab as indent/],
    ['plugins: [\n', /api\.yaml:2: /],
    [
      'plugins:\n  - name: a\n    url: http://x\n  - name: a\n    url: http://y\n',
      /api\.yaml:4: plugins\[1\]\.name: "a" is there twice/
    ]
  ]
  for (const [text, message] of cases)
    await t.rejects(loadApiConfig({ path: written(t, text) }), { code: 'IL_CONFIG', message }, text)
  await t.rejects(loadApiConfig({ path: '/nowhere.yaml' }), {
    message: '/nowhere.yaml cannot be read: there is no such file'
  })
})

t.test('no value of the file is quoted, for it may be secret', async (t) => {
  const schema = Type.Object({ password: Type.Integer() })
  const path = join(t.testdir({ 'a.yaml': 'password: hunter2\n' }), 'a.yaml')
  await t.rejects(loadYamlConfig(path, schema), {
    message: `${path}:1: password: expected integer, found a string`
  })
  const broken = join(t.testdir({ 'b.yaml': 'password: "hunter2\n' }), 'b.yaml')
  const error = (await loadYamlConfig(broken, schema).catch((error: unknown) => error)) as Error
  t.match(error.message, /b\.yaml:\d: missing char/)
  t.notMatch(error.message, 'hunter2')
})

const reference = `InterlinkAddress: "http://127.0.0.1"
InterlinkPort: 3000
SidecarURL: "unix:///var/run/plugin.sock"
SidecarPort: "4000"
VerboseLogging: true
ErrorsOnlyLogging: false
DataRootFolder: "~/.interlink"
JobScriptBuildConfig:
  apptainer_options:
    executable: singularity
    fakeroot: true
  volumes_options:
    scratch_area: /scratch
TLS:
  Enabled: true
  CertFile: /etc/tls.crt
  KeyFile: /etc/tls.key
  CACertFile: /etc/ca.crt
`

t.test("the reference's file is understood, and keys it does not know are ignored", async (t) => {
  t.match(await loadApiConfig({ path: written(t, reference) }), {
    listen: 'https://127.0.0.1:3000',
    plugins: [{ name: 'plugin', url: 'unix:///var/run/plugin.sock', createBody: 'object' }],
    tls: { certFile: '/etc/tls.crt', keyFile: '/etc/tls.key', clientCaFile: '/etc/ca.crt' },
    jobScriptBuild: {
      ApptainerOptions: { executable: 'singularity', fakeroot: true, cleanenv: false },
      Volumes: { scratch_area: '/scratch' }
    },
    logLevel: 'debug'
  })
})

t.test("the reference's environment comes before its file, and is enough without one", async (t) => {
  const path = written(
    t,
    'InterlinkAddress: http://1.1.1.1\nInterlinkPort: "1"\nSidecarURL: http://2.2.2.2\nSidecarPort: "2"\n'
  )
  const env = { INTERLINKCONFIGPATH: path, INTERLINKPORT: '3000', SIDECARURL: 'http://127.0.0.1' }
  t.match(await loadApiConfig({ env }), {
    listen: 'http://1.1.1.1:3000',
    plugins: [{ url: 'http://127.0.0.1:2' }]
  })
  if (existsSync('/etc/interlink/InterLinkConfig.yaml')) return
  t.match(
    await loadApiConfig({
      env: { INTERLINKURL: 'unix:///a.sock', SIDECARURL: 'http://127.0.0.1', SIDECARPORT: '9' }
    }),
    {
      listen: 'unix:///a.sock',
      plugins: [{ url: 'http://127.0.0.1:9' }]
    }
  )
  await t.rejects(loadApiConfig({ env: {} }), { message: /SidecarURL: expected/ })
})

t.test('the job script template of the reference is taken over', async (t) => {
  const path = written(t, 'SidecarURL: http://x\nJobScriptTemplate: /etc/job.tpl\n')
  t.match(await loadApiConfig({ path }), { jobScriptTemplate: '/etc/job.tpl' })
})

t.test('a unix socket is for its owner alone, and one that a killed server left is taken over', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, {}))
  const path = join(shortDirectory(t), 'api.sock')
  const config = { listen: `unix://${path}`, plugins: [{ name: 'p', url: plugin.url }] }
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  ])
  t.ok(existsSync(path), 'the socket of the killed server is there')
  const api = await startApi(config)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal((await clientOf(t, { url: api.url }).ping()).ok, true)
  await t.rejects(startApi(config), { code: 'IL_CONFIG', message: /another server answers on/ })
  t.equal((await clientOf(t, { url: api.url }).ping()).ok, true, 'the first goes on')
  await api.close()
  await t.rejects(startApi({ ...config, listen: `unix:///tmp/${'x'.repeat(120)}` }), {
    message: /at most 107 bytes/
  })
  writeFileSync(path, 'a file of somebody')
  await t.rejects(startApi(config), { message: /exists and is no socket/ })
})

t.test('a port that is taken is an error, not a hang', async (t) => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  await t.rejects(
    startApi({ listen: `http://127.0.0.1:${port}`, plugins: [{ name: 'p', url: 'http://127.0.0.1:1' }] }),
    { code: 'EADDRINUSE' }
  )
})
