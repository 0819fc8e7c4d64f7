import t from 'tap'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { startApi } from '@interlink-ts/interlink-api/server'
import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { canary, watchProcessList } from '../support/canaries.ts'
import { isOver, logOf, refOf, scriptPod, startSlurmPlugin, statusOf, whenStatus } from './slurm-plugin.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

if (requireReal(t, slurmMissing() ?? sshdMissing())) {
  const lab = await startSlurmLab({ nodes: 1, cpus: 16 })
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const builder = createServer(async (request, response) => {
    const { pod } = JSON.parse(await text(request)) as RetrievedPodData
    // The pods of this test bring the words of the script as their command.
    response.end('#!/bin/bash\n' + pod.spec.containers[0]!.command![2]!)
  })
  builder.listen(0, '127.0.0.1')
  await once(builder, 'listening')
  t.teardown(() => builder.close())
  const jobscriptURL = `http://127.0.0.1:${(builder.address() as AddressInfo).port}/`

  const image = 'registry.invalid/not:pulled'
  const allowed = { batch: { jobScripts: true } }
  /** A plugin behind an API server that asks the builder. */
  async function start(t: Test, options: object) {
    const plugin = await startSlurmPlugin(t, lab, undefined, options)
    const url = `unix://${join(plugin.root, '../plugin.sock')}`
    const api = await startApi({
      listen: 'http://127.0.0.1:0',
      plugins: [{ name: 'slurm', url }],
      jobScriptBuild: {}
    })
    const client = createInterlinkClient({ url: api.url })
    t.teardown(() => client.close().then(() => api.close()))
    return {
      ...plugin,
      create: ({ pod }: RetrievedPodData) =>
        client.create({ pod, configmaps: [], secrets: [], projectedvolumesmaps: [], jobscriptURL })
    }
  }
  const pod = (script: string, spec: Record<string, unknown> = {}, annotations = {}) =>
    scriptPod(script, {
      annotations,
      spec,
      container: { image }
    })
  const codes = (status: Awaited<ReturnType<typeof statusOf>>) =>
    Object.fromEntries(
      [...status!.initContainers!, ...status!.containers].map(({ name, state }) => [
        name,
        state?.terminated?.exitCode
      ])
    )

  const sites = {
    'on this machine': allowed,
    'behind SSH': { ...allowed, ssh: { ...sshd.options, directory: join(lab.dir, 'far') } }
  }
  for (const [where, options] of Object.entries(sites))
    t.test(`${where}, each container is what the script writes of it`, async (t) => {
      const { client, create } = await start(t, options)
      const go = join(lab.dir, `go-${where.replaceAll(' ', '-')}`)
      const script = `
        cd "$workingPath" && [ "$SANDBOX" = "$workingPath" ] || exit 90
        echo prepared >init-prepare.out; echo 0 >init-prepare.status
        echo first >run-main.out
        echo aside >run-other.out; echo 3 >run-other.status
        until [ -e ${go} ]; do sleep 0.1; done
        echo second >>run-main.out; echo 5 >run-main.status
        sleep 1; echo results are away >${go}.away`
      const data = pod(script, {
        initContainers: [{ name: 'prepare', image }],
        containers: [
          { name: 'other', image, command: ['/bin/sh', '-c', script] },
          { name: 'main', image }
        ]
      })
      const { PodJID } = await create(data)
      const begun = await whenStatus(
        client,
        data,
        (seen) => codes(seen).other === 3 && codes(seen).prepare === 0
      )
      t.equal(codes(begun).main, undefined)
      await eventually(async () => (await logOf(client, data)) === 'first\n')
      t.match(await lab.run('squeue', '-h', '-j', PodJID, '-o', '%j %k'), data.pod.metadata.uid)
      await writeFile(go, '')
      const over = await whenStatus(client, data, isOver)
      t.same(codes(over), { prepare: 0, main: 5, other: 3 })
      t.ok(existsSync(`${go}.away`), 'the pod ends with its script')
      t.equal(await logOf(client, data), 'first\nsecond\n')
    })

  t.test('a script that writes no files is told of by its own output and end', async (t) => {
    const { client, create } = await start(t, allowed)
    const data = pod('echo out; echo err >&2; exit 7', {
      initContainers: [{ name: 'prepare', image }]
    })
    await create(data)
    const over = await whenStatus(client, data, isOver)
    t.same(codes(over), { prepare: 0, main: 7 })
    t.equal(await logOf(client, data), 'out\nerr\n')
  })

  t.test('a deletion ends the script by TERM, and whatever it has started', async (t) => {
    const { client, create } = await start(t, allowed)
    const mark = join(lab.dir, 'told')
    const data = pod(
      `trap 'echo told >${mark}; exit 0' TERM; sleep 987654 & echo $! >${mark}.pid; echo up; while :; do sleep 0.1; done`,
      { terminationGracePeriodSeconds: 20 }
    )
    await create(data)
    await eventually(async () => (await logOf(client, data)) === 'up\n')
    await client.delete(refOf(data))
    await eventually(async () => (await statusOf(client, data)) === undefined)
    t.equal(await readFile(mark, 'utf8'), 'told\n')
    const pid = (await readFile(`${mark}.pid`, 'utf8')).trim()
    await eventually(() => !existsSync(`/proc/${pid}`))
  })

  t.test('without the site’s word a script is refused, and nothing is left of it', async (t) => {
    const { create, root } = await start(t, {})
    const before = await lab.run('squeue', '-h', '-t', 'all', '-o', '%A')
    await t.rejects(create(pod('true')), { message: /jobScript: .*options\.batch\.jobScripts/ })
    t.same(
      (await readdir(root)).filter((name) => name.startsWith('default-')),
      []
    )
    t.equal(await lab.run('squeue', '-h', '-t', 'all', '-o', '%A'), before)
    const { create: refusing } = await start(t, allowed)
    await t.rejects(refusing(pod('true', { restartPolicy: 'Always' })), {
      message: /spec\.restartPolicy: .* use Never/
    })
  })

  t.test('a hostile script has its own job and nothing more', async (t) => {
    const { client, create, root } = await start(t, allowed)
    const secret = canary('script')
    const processes = watchProcessList([secret])
    t.teardown(processes.stop)
    const touched = join(lab.dir, 'touched')
    const script = `
#SBATCH --comment=other --output=${touched} --job-name=other
: ${secret}
cd "$workingPath"
mkfifo run-pipe.status
ln -s /dev/zero run-endless.out; ln -s /dev/zero run-endless.status
echo '0; touch ${touched}' >run-words.status
printf '%0100000d' 0 >run-large.status
echo '$(touch ${touched})' >run-words.out
until [ -e go ]; do sleep 0.1; done
exit 9`
    const names = ['main', 'pipe', 'endless', 'words', 'large']
    const data = pod(
      script,
      {
        containers: names.map((name) => ({
          name,
          image,
          command: ['/bin/sh', '-c', script]
        }))
      },
      { 'slurm-job.vk.io/flags': '--job-name=mine' }
    )
    const { PodJID } = await create(data)
    const dir = join(root, `default-${data.pod.metadata.uid}`)
    await eventually(() => existsSync(join(dir, 'run-words.out')))
    const shown = [
      await lab.run('scontrol', 'show', 'job', '--details', PodJID),
      await lab.run('scontrol', 'write', 'batch_script', PodJID, '-')
    ].join('\n')
    t.match(shown, /JobName=mine/)
    t.match(shown, `Comment=${data.pod.metadata.uid}`)
    t.notOk(shown.includes(secret), 'the script is not in Slurm’s records')
    await writeFile(join(dir, 'go'), '')
    const over = await whenStatus(client, data, isOver)
    t.same(codes(over), { main: 9, pipe: 9, endless: 9, words: 9, large: 9 })
    t.same(processes.stop(), [])
    t.notOk(existsSync(touched))
    for (const [path, mode] of [
      ['jobScript.sh', 0o700],
      ['plan.json', 0o600],
      ['.', 0o700]
    ] as const)
      t.equal((await stat(join(dir, path))).mode & 0o777, mode, path)
  })
}
