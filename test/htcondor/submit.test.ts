import t from 'tap'
import { execFile } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { htcondorBackend } from '@interlink-ts/plugins/htcondor'
import type { Backend } from '@interlink-ts/plugins/kit'
import { scriptPod } from '../support/plugin.ts'
import { requireReal } from '../support/require-real.ts'
import { startHtcondorPlugin } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

type Plan = Parameters<Backend['render']>[0]

/** A plan with hostile words wherever a pod has a say. */
const planOf = (name: string, annotations: Record<string, string> = {}, extended = {}): Plan => ({
  version: 1,
  pod: {
    uid: 'u-1',
    name,
    namespace: 'default',
    nodeName: 'vk',
    hostname: 'pod',
    labels: {},
    annotations,
    nodeSelector: { 'nvidia.com/gpu.product': 'A100"$(x)-40', 'nvidia.com/gpu.memory': '1000' }
  },
  restartPolicy: 'Never',
  graceSeconds: 7,
  deadlineSeconds: 60,
  containers: [],
  volumes: [],
  hosts: [],
  resources: { cpuMillis: 1500, memoryBytes: 2 ** 28, ephemeralBytes: 2 ** 30, extended },
  notices: []
})

if (requireReal(t, htcondorUnprepared())) {
  const lab = await startHtcondorLab({
    prefix,
    extra: [
      'SUBMIT_REQUIREMENT_NAMES = Named',
      'SUBMIT_REQUIREMENT_Named = InterLinkPodName =!= "unwelcome"',
      'SUBMIT_REQUIREMENT_Named_REASON = "not under this name"'
    ]
  })
  t.teardown(() => lab.close())
  const dir = join(lab.dir, "job's dir")
  await mkdir(dir)
  const backend = htcondorBackend.create(lab.options, { root: lab.dir, log: console })
  t.teardown(() => backend.close?.())

  /** The ad that condor_submit itself would put into the queue, by attribute. */
  const adOf = async (plan: Plan): Promise<ReadonlyMap<string, string>> => {
    const rendered = await backend.render(plan, dir)
    if ('refusals' in rendered) throw new Error(JSON.stringify(rendered.refusals))
    const file = join(lab.dir, 'ad')
    await new Promise<void>((resolve, reject) => {
      const submit = execFile(
        'condor_submit',
        ['-dry-run', file, '-'],
        { env: lab.env },
        (error, _, stderr) => (error ? reject(new Error(stderr, { cause: error })) : resolve())
      )
      submit.stdin!.end(rendered.shown![0]!.text)
    })
    const lines = (await readFile(file, 'utf8')).split('\n').flatMap((line) => {
      const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? []
      return name === undefined ? [] : [[name, value!] as const]
    })
    const clusters = lines.filter(([name]) => name === 'ProcId')
    t.equal(clusters.length, 1, 'one job')
    return new Map(lines)
  }

  t.test('condor_submit reads what is rendered as it is meant', async (t) => {
    const ad = await adOf(
      planOf(
        'pod',
        {
          'htcondor-job.vk.io/requirements': 'TARGET.Site == "a\\"b" || true',
          'htcondor-job.vk.io/rank': 'Memory',
          'htcondor-job.vk.io/priority': '3',
          'htcondor-job.vk.io/concurrency-limits': 'db:2',
          'htcondor-job.vk.io/accounting-group': 'group_x',
          'htcondor-job.vk.io/classads': 'ProjectName = "p;q"; WantX = 1 + 1'
        },
        { 'nvidia.com/gpu': 2, 'xilinx.com/fpga': 1 }
      )
    )
    const said = (name: string) => ad.get(name)
    t.equal(said('InterLinkPodUID'), '"u-1"')
    t.equal(said('RequestCpus'), '2')
    t.equal(said('RequestMemory'), '256')
    t.equal(said('RequestDisk'), '1048576')
    t.equal(said('RequestGPUs'), '2')
    t.equal(said('Requestfpgas'), '1')
    t.match(said('RequireGPUs'), /GlobalMemoryMb >= (GPUsMinMemory|1000)/)
    t.equal(said('JobMaxVacateTime'), '37')
    t.equal(said('AllowedJobDuration'), '97')
    t.equal(said('JobPrio'), '3')
    t.equal(said('ConcurrencyLimits'), '"db:2"')
    t.match(said('AccountingGroup'), /^"group_x/)
    t.equal(said('ProjectName'), '"p;q"')
    t.equal(said('WantX'), '1 + 1')
    t.match(said('Requirements'), /TARGET\.Site == "a\\"b" \|\| true\)/)
    t.equal(said('Arguments'), `"${lab.dir}/job''''s' 'dir/condor.sh"`, 'one word, as the ad has it')
  })

  t.test('a name full of macros and newlines is a name, and no second job', async (t) => {
    const ad = await adOf(planOf('a"b\\c $(Cluster) $ENV(PATH)\nqueue 7\n+Owner = "root"'))
    for (const attribute of ['JobBatchName', 'InterLinkPodName'])
      t.match(
        ad.get(attribute),
        /a\\"b\\\\c \\044\(Cluster\) \\044ENV\(PATH\)\\012queue 7\\012\+Owner = \\"root\\""$/
      )
    t.equal(ad.get('Owner'), 'undefined')
  })

  /** No machine has what they ask for. */
  const waitingPod = (name: string, annotations: Record<string, string> = {}) => {
    const given = scriptPod('true', {
      annotations: { 'htcondor-job.vk.io/requirements': 'InterLinkTest =?= true', ...annotations }
    })
    given.pod.metadata.name = name
    return given
  }
  type Ad = Readonly<Record<string, unknown>>
  const queued = async (): Promise<Ad[]> =>
    JSON.parse((await lab.run('condor_q', '-json', '-long')) || '[]') as Ad[]
  const idOf = (ad: Ad) => `${String(ad.ClusterId)}.${String(ad.ProcId)}`

  t.test(
    'pods of a burst share a few submissions, and each has the job that it would have alone',
    async (t) => {
      const { client } = await startHtcondorPlugin(t, lab)
      const names = Array.from({ length: 20 }, (_, index) => `burst-${index}`)
      const pods = [
        ...names.map((name) => waitingPod(name)),
        waitingPod('first', {
          'htcondor-job.vk.io/priority': '7',
          'htcondor-job.vk.io/classads': 'Mine = "m"'
        })
      ]
      const [alone, ...others] = [...pods].reverse()
      const answers = [
        await client.create(alone!),
        ...(await Promise.all(others.map((pod) => client.create(pod))))
      ]
      const ads = await queued()
      t.equal(ads.length, pods.length)
      t.same(
        new Map(ads.map((ad) => [ad.InterLinkPodUID, idOf(ad)])),
        new Map(answers.map(({ PodUID, PodJID }) => [PodUID, PodJID]))
      )
      t.ok(new Set(ads.map(({ ClusterId }) => ClusterId)).size < pods.length)
      const shapes = ads.filter(({ InterLinkPodName }) => InterLinkPodName !== 'first').map(shapeOf)
      for (const shape of shapes) t.same(shape, shapes[0])
      for (const ad of ads) t.match(ad.Iwd, new RegExp(`-${String(ad.InterLinkPodUID)}$`))
      for (const ad of ads) t.equal(ad.Args ?? ad.Arguments, `${String(ad.Iwd)}/condor.sh`)
      await Promise.all(pods.map(({ pod }) => client.delete(pod)))
    }
  )

  t.test('a pod that the queue refuses is told why, and those that went with it are in', async (t) => {
    const { client } = await startHtcondorPlugin(t, lab)
    const before = new Set((await queued()).map(idOf))
    const pods = ['a', 'b', 'unwelcome', 'c', 'd', 'e'].map((name) => waitingPod(name))
    const answers = await Promise.allSettled(pods.map((pod) => client.create(pod)))
    const refused = answers.flatMap((answer, index) =>
      answer.status === 'rejected' ? [[pods[index]!.pod.metadata.name, answer.reason as Error] as const] : []
    )
    t.match(refused, [['unwelcome', { message: /not under this name/ }]])
    const added = (await queued()).filter((ad) => !before.has(idOf(ad)))
    t.same(added.map(({ InterLinkPodName }) => InterLinkPodName).sort(), ['a', 'b', 'c', 'd', 'e'])
    await Promise.all(pods.map(({ pod }) => client.delete(pod)))
  })
}

/** All of an ad but what is the job's own, and when it came. */
function shapeOf(ad: Readonly<Record<string, unknown>>): object {
  const own =
    /^(ClusterId|ProcId|GlobalJobId|QDate|EnteredCurrentStatus|Arguments|Args|Iwd|JobBatchName|InterLinkPod(Name|UID)|ServerTime|LastMatchTime|LastRejMatch\w*|AutoCluster\w*|TotalSubmitProcs|JobSubmitTime|ScheddBday|.*Time)$/
  return Object.fromEntries(Object.entries(ad).filter(([name]) => !own.test(name)))
}
