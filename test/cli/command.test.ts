import t from 'tap'
import { execFile } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { runInterlink } from '../support/interlink.ts'
import { onPath } from '../support/on-path.ts'
import { requireReal } from '../support/require-real.ts'

const example = (name: string) => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url))

t.test('help lists every command, with examples', async (t) => {
  const { code, stdout } = await runInterlink(['--help'])
  t.equal(code, 0)
  for (const command of ['up', 'vk', 'api', 'plugin', 'render', 'doctor', 'lab', 'completion', 'version'])
    t.match(stdout, new RegExp(`^  ${command}\\b`, 'm'))
  t.match(stdout, /Examples:/)
})

t.test('an unknown command, option or backend is an error that says what there is', async (t) => {
  const command = await runInterlink(['upp'])
  t.not(command.code, 0)
  t.match(command.stderr, /unknown command 'upp'/)
  const backend = await runInterlink(['plugin', 'pbs'])
  t.equal(backend.code, 1)
  t.match(backend.stderr, /"pbs" is not known; known are process/)
})

t.test('render shows the plan and the scripts of the rich example, and no secret', async (t) => {
  const { code, stdout, stderr } = await runInterlink([
    'render',
    example('rich.yaml'),
    '--backend',
    'process'
  ])
  t.equal(code, 0, stderr)
  t.match(stdout, /job\.sh/)
  const shown = await runInterlink(['render', example('rich.yaml'), '-o', 'json'])
  t.ok(JSON.parse(shown.stdout))
})

t.test(
  'render shows a pod with resource claims, with a placeholder for what the scheduler chooses',
  async (t) => {
    const directory = t.testdir({
      'pod.yaml': JSON.stringify({
        kind: 'Pod',
        metadata: { name: 'p' },
        spec: {
          resourceClaims: [
            { name: 'gpu', resourceClaimName: 'g' },
            { name: 'board', resourceClaimName: 'b' }
          ],
          containers: [
            {
              ...{ name: 'main', image: 'busybox', command: ['true'] },
              resources: { claims: [{ name: 'gpu', request: 'half' }, { name: 'board' }] }
            }
          ]
        }
      }),
      'plugin.yaml': 'root: /tmp/x\ndevices: { inventory: /nowhere/cards.yaml }\n'
    })
    const args = ['render', `${directory}/pod.yaml`, '--backend', 'incus', '-o', 'json']
    const { code, stdout, stderr } = await runInterlink(args)
    t.equal(code, 0, stderr)
    const { plan, notices, shown, files } = JSON.parse(stdout)
    const scripts = files.map(({ text }: { text: string }) => text).join('')
    t.match(scripts, "'/.interlink/supervisor.sh' 'run' '/.interlink'", 'where the job will be')
    t.notMatch(scripts, '/jobs/')
    const devices = ['<claim gpu, request half>', '<claim board>']
    t.same(plan.claimed, devices)
    t.same(plan.containers[0].claimed, devices)
    t.match(notices, [{ reason: 'ResourceClaims', message: /^<claim gpu, request half>, <claim board>: / }])
    t.match(JSON.parse(shown[0].text).devices, { 'lent-0-0': devices[0], 'lent-1-0': devices[1] })
    const refused = await runInterlink([...args, '--config', `${directory}/plugin.yaml`])
    t.equal(refused.code, 1)
    t.match(refused.stderr, /spec\.resourceClaims: .*ask for an extended resource/)
    t.match(
      (await runInterlink(['render', `${directory}/pod.yaml`, '--backend', 'slurm'])).stderr,
      /resourceClaims/
    )
  }
)

t.test('render carries the 3D-GAN training pod unharmed, and warns of its quotes', async (t) => {
  const { stdout, stderr } = await runInterlink(['render', example('itwinai-3dgan.yaml')])
  t.match(stdout + stderr, /quotes/)
  t.match(stdout + stderr, /cern\.sif/)
})

t.test('a configuration error names file, line, key, and what was expected', async (t) => {
  const directory = t.testdir({
    'vk.yaml': 'nodes:\n  - name: one\n    resources:\n      cpu: many\n',
    'api.yaml': 'listen: http://127.0.0.1:0\nplugins:\n  - name: p\n    urll: http://127.0.0.1:1\n',
    'plugin.yaml': 'listen: http://127.0.0.1:0\nroot: /tmp/x\nretention: soon\n'
  })
  const vk = await runInterlink(['vk', '--config', `${directory}/vk.yaml`])
  t.equal(vk.code, 1)
  t.match(vk.stderr, /vk\.yaml:4\b.*cpu/)
  const api = await runInterlink(['api', '--config', `${directory}/api.yaml`])
  t.equal(api.code, 1)
  t.match(api.stderr, /api\.yaml:[34]\b.*url/)
  const plugin = await runInterlink(['plugin', 'process', '--config', `${directory}/plugin.yaml`])
  t.equal(plugin.code, 1)
  t.match(plugin.stderr, /plugin\.yaml:3\b.*retention/)
})

t.test('an API server on a public address refuses to start without authentication', async (t) => {
  const directory = t.testdir({
    'api.yaml': 'listen: http://0.0.0.0:0\nplugins:\n  - name: p\n    url: http://127.0.0.1:1\n'
  })
  const { code, stderr } = await runInterlink(['api', '--config', `${directory}/api.yaml`])
  t.equal(code, 1)
  t.match(stderr, /auth/)
})

t.test('doctor says what is there and what is not', async (t) => {
  const { stdout } = await runInterlink(['doctor', 'plugin'])
  t.match(stdout, /[✓✗] /)
})

t.test('the bash completion completes commands and options', async (t) => {
  const { stdout } = await runInterlink(['completion', 'bash'])
  const complete = async (...words: string[]) => {
    const script = `${stdout}\nCOMP_WORDS=(interlink ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _interlink; printf '%s\\n' "\${COMPREPLY[@]}"`
    return (await promisify(execFile)('bash', ['-c', script])).stdout.split('\n')
  }
  t.has(await complete('plu'), ['plugin'])
  t.ok((await complete('up', '--ku')).includes('--kubeconfig'))
  t.has(await complete('lab', 'inst'), ['instance'])
  t.ok((await complete('lab', 'instance', 'set')).includes('set-key'))
  t.ok((await complete('lab', 'i', 'c', 'name', 'image', '--ho')).includes('--hole'))
  t.ok((await complete('lab', 'instance', 'create', '--type', 'v')).includes('vm'))
  t.same(await complete('lab', 'gpu', 'pci'), ['pci-addr', ''])
})

t.test('completion for fish names the commands below commands', async (t) => {
  const { stdout } = await runInterlink(['completion', 'fish'])
  t.match(stdout, /from lab; and not __fish_seen_subcommand_from instance gpu .*' -a gpu -d '/)
  t.match(stdout, /from lab; and __fish_seen_subcommand_from gpu; and .*from add' -l pci\n/)
})

t.test('every command has help with an example', async (t) => {
  for (const command of ['up', 'vk', 'api', 'plugin', 'render', 'doctor', 'lab', 'completion', 'version'])
    t.match((await runInterlink([command, '--help'])).stdout, /Examples?:\n  \S*/, command)
})

t.test('a file that cannot be read is named with the reason, in one line', async (t) => {
  for (const args of [
    ['vk', '--config'],
    ['api', '--config'],
    ['plugin', 'process', '--config'],
    ['render']
  ]) {
    const { code, stderr } = await runInterlink([...args, '/no/such.yaml'])
    t.equal(code, 1)
    t.equal(stderr, 'interlink: /no/such.yaml cannot be read: there is no such file\n')
  }
})

t.test('YAML with tabs or a key twice is refused by file, line and key', async (t) => {
  const directory = t.testdir({
    'tab.yaml': 'plugins:\n\t- name: p\n',
    'twice.yaml': 'listen: a\nlisten: b\n'
  })
  const tab = await runInterlink(['api', '--config', `${directory}/tab.yaml`])
  t.match(tab.stderr, /tab\.yaml:2: tab as indent: use spaces/)
  const twice = await runInterlink(['api', '--config', `${directory}/twice.yaml`])
  t.match(twice.stderr, /twice\.yaml:2: listen: duplicate key: keep one of them/)
})

t.test('a reader that has seen enough is no error', async (t) => {
  const script = `set -o pipefail; "$@" | true`
  const bin = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))
  const render = [bin, 'render', example('rich.yaml')]
  const { stderr } = await promisify(execFile)('bash', ['-c', script, 'bash', ...render])
  t.equal(stderr, '')
})

for (const shell of ['zsh', 'fish'])
  t.test(`the completion of ${shell} is a program of its shell`, async (t) => {
    const path = onPath(shell)
    if (!requireReal(t, path ? undefined : `${shell} is missing`)) return
    const { stdout } = await runInterlink(['completion', shell])
    const script = `${t.testdir({ script: stdout })}/script`
    await t.resolves(promisify(execFile)(path!, ['-n', script]))
  })

t.test('colours are for terminals, and not for those with NO_COLOR', async (t) => {
  const bin = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))
  const onTerminal = async (more: NodeJS.ProcessEnv) => {
    const command = ['-qec', `'${bin}' up --kubeconfig /no/such || true`, '/dev/null']
    return (await promisify(execFile)('script', command, { env: { PATH: process.env.PATH, ...more } })).stdout
  }
  t.match(await onTerminal({}), '\u001b[1minterlink')
  t.notMatch(await onTerminal({ NO_COLOR: '1' }), '\u001b')
})

t.test('a port in use is named with the way out', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const { code, stderr } = await runInterlink(['up', '--no-pod', '--page-port', String(port)])
  t.equal(code, 1)
  t.match(stderr, new RegExp(`address already in use 127.0.0.1:${port}; .* give another port`))
})
