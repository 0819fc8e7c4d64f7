import t from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { access, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startSlurmLab, slurmMissing } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import {
  isOver,
  isRunning,
  logOf,
  refOf,
  scriptPod,
  startSlurmPlugin,
  statusOf,
  whenStatus
} from './slurm-plugin.ts'

/** A file system of its own of this size, or why there can be none. */
function smallDisk(megabytes: number): { readonly path: string; close(): void } | string {
  const { path } = temporaryDirectory('disk')
  const place = join(path, 'disk')
  mkdirSync(place, { mode: 0o700 })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs', place], {
      stdio: 'pipe'
    })
  } catch (error) {
    return `no file system can be mounted: ${(error as Error).message}`
  }
  return { path: place, close: () => execFileSync('umount', ['-l', place]) }
}

const disk = slurmMissing() ?? smallDisk(24)

if (requireReal(t, typeof disk === 'string' ? disk : undefined) && typeof disk !== 'string') {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(async () => {
    await lab.close()
    disk.close()
  })
  const filler = join(disk.path, 'filler')
  /** Not a byte is left. */
  const fill = () =>
    execFileSync('sh', ['-c', `cat /dev/zero >>'${filler}' 2>/dev/null || true`], { stdio: 'ignore' })
  const empty = () => rm(filler, { force: true })

  t.test(
    'a full disk is told in words at the create, harms nobody, and the create goes on when there is room',
    async (t) => {
      const { client } = await startSlurmPlugin(t, lab, join(disk.path, 'create'))
      const go = join(lab.dir, 'go')
      const before = scriptPod(`until [ -e ${go} ]; do sleep 0.1; done; exit 4`)
      await client.create(before)
      await whenStatus(client, before, isRunning)
      fill()
      const pod = scriptPod('exit 5')
      await t.rejects(client.create(pod), {
        code: 'PLUGIN_NO_SPACE',
        retry: 'yes',
        message: /the job directory cannot be written: ENOSPC/
      })
      t.ok(isRunning((await statusOf(client, before))!), 'what ran runs on')
      t.ok((await client.ping()).ok)
      await empty()
      await client.create(pod)
      await writeFile(go, '')
      for (const [one, code] of [
        [before, 4],
        [pod, 5]
      ] as const)
        t.equal((await whenStatus(client, one, isOver)).containers[0]!.state!.terminated!.exitCode, code)
    }
  )

  t.test(
    'a disk that fills while a pod runs and logs costs lines of its log, and not its exit code',
    async (t) => {
      const { client } = await startSlurmPlugin(t, lab, join(disk.path, 'log'))
      const [go, said] = [join(lab.dir, 'full'), join(lab.dir, 'said')]
      const pod = scriptPod(
        `echo first; until [ -e ${go} ]; do sleep 0.1; done; i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i + 1)); done; : >${said}; until [ -e ${go}.again ]; do sleep 0.1; done; echo last; exit 6`
      )
      await client.create(pod)
      await whenStatus(client, pod, isRunning)
      await eventually(async () => (await logOf(client, pod)) === 'first\n')
      fill()
      await writeFile(go, '')
      await eventually(() => access(said).then(() => true))
      t.ok(isRunning((await statusOf(client, pod))!), 'it is not held up by a log that cannot be written')
      await empty()
      await writeFile(`${go}.again`, '')
      const over = await whenStatus(client, pod, isOver)
      t.equal(over.containers[0]!.state!.terminated!.exitCode, 6)
      const log = await logOf(client, pod)
      t.match(log, /^first\n/)
      t.match(log, /last\n$/)
    }
  )

  t.test('a pod that ends on a full disk is reported when there is room, and can be deleted', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, join(disk.path, 'end'))
    const go = join(lab.dir, 'end')
    const pod = scriptPod(`until [ -e ${go} ]; do sleep 0.1; done; exit 7`)
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    fill()
    await writeFile(go, '')
    await t.rejects(client.delete(refOf(pod)), { code: 'PLUGIN_NO_SPACE', retry: 'yes' })
    await empty()
    t.equal((await whenStatus(client, pod, isOver)).containers[0]!.state!.terminated!.exitCode, 7)
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(async () => !(await lab.run('squeue', '-h', '-o', '%A')).includes(PodJID))
  })
}
