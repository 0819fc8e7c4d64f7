import t from 'tap'
import { readFile } from 'node:fs/promises'
import { loadAll } from 'js-yaml'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { compile } from '../src/kit/plan/compile.ts'
import { describePlan } from '../src/kit/plan/describe.ts'
import { redactPlan } from '../src/kit/plan/redact.ts'
import type { Plan } from '../src/kit/plan/plan.ts'
import { base64, planOf, policyOf } from './support-plan.ts'

interface Manifest {
  kind: string
  spec: { template: { spec: Pod['spec'] } }
  metadata: Pod['metadata']
}

/** The pod of an example as a node sends it: values resolved, objects beside it. */
async function planOfExample(file: string): Promise<Plan> {
  const text = await readFile(new URL(`../../../examples/${file}`, import.meta.url), 'utf8')
  const manifest = (loadAll(text) as Manifest[]).find(({ kind }) =>
    ['Pod', 'Job', 'Deployment'].includes(kind)
  )!
  const spec = (manifest.kind === 'Pod'
    ? manifest.spec
    : manifest.spec.template.spec) as unknown as Pod['spec']
  for (const container of spec.containers) {
    delete container.envFrom
    for (const entry of container.env ?? []) {
      if (entry.valueFrom) entry.value = 'resolved'
      delete entry.valueFrom
    }
  }
  const sent = {
    name: 'main',
    configMaps: [{ metadata: { name: 'rich-settings' }, data: { 'settings.ini': 's', GREETING: 'g' } }],
    secrets: [{ metadata: { name: 'rich-secret' }, data: { token: base64('t0ken') } }],
    projectedvolumemaps: [{ metadata: { name: 'about' }, data: { labels: 'l', greeting: 'g' } }]
  }
  const result = compile(
    { pod: { metadata: { ...manifest.metadata, uid: 'u-1' }, spec }, container: [sent] },
    policyOf()
  )
  if ('refusals' in result) throw new Error(JSON.stringify(result.refusals))
  return result.plan
}

t.test('every example has a plan', async (t) => {
  for (const file of ['hello', 'rich', 'hardened', 'indexed-job', 'deployment', 'fpga', 'itwinai-3dgan']) {
    t.ok((await planOfExample(`${file}.yaml`)).containers.length > 0, file)
  }
})

t.test('the 3D-GAN training pod is carried unharmed, with a warning of its quotes', async (t) => {
  const plan = await planOfExample('itwinai-3dgan.yaml')
  t.match(plan.containers, [
    {
      image: /^\/p\/project\/.*\/cern\.sif$/,
      command: ['/bin/bash'],
      args: ['-c', "'cd /workspace/T6.5-AI-and-ML/use-cases/3dgan && python train.py -p pipeline.yaml'"]
    }
  ])
  t.match(plan.pod.annotations['slurm-job.vk.io/flags'], /^--gres=gpu:4 .*--time=20:00:00$/)
  t.match(plan.notices, [{ reason: 'QuotedArgument' }])
})

t.test('the FPGA pod asks for one FPGA', async (t) => {
  t.strictSame((await planOfExample('fpga.yaml')).resources.extended, { 'xilinx.com/fpga': 1 })
})

t.test('a plan for people names everything, and values only when asked', async (t) => {
  const plan = await planOfExample('rich.yaml')
  const shown = describePlan(plan)
  for (const part of [
    'init first',
    'sidecar watcher',
    'main main',
    '"token" 0400 5 B',
    'mount shared at /tmp/rich-shared'
  ]) {
    t.ok(shown.includes(part), part)
  }
  t.notMatch(shown, /t0ken/)
  t.match(describePlan(plan, { showValues: true }), /"token" 0400 "t0ken"/)
  const { containers } = planOf({
    container: { env: [{ name: 'KEY', value: 'hush-hush' }], args: ['--key=$(KEY)'] }
  })
  t.match(
    describePlan({ ...plan, containers }),
    /args \["--key=\$\(KEY\)"\]\n {2}env HOSTNAME 3 B\n {2}env KEY 9 B/
  )
  const redacted = JSON.stringify(redactPlan({ ...plan, containers }))
  t.notMatch(redacted, /hush-hush/)
  t.notMatch(redacted, new RegExp(base64('t0ken')))
})
