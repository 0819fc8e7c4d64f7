import t from 'tap'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { of } from '../../../test/conformance/workbench.ts'
import { requireReal } from '../../../test/support/require-real.ts'
import { startSite } from './support-process.ts'

const ordinary = 65534
const accounts = [
  { who: 'root', uid: undefined, isRoot: true },
  { who: 'an ordinary user', uid: ordinary, isRoot: false }
]
const reason = process.getuid!() === 0 ? undefined : 'only root can start a plugin as another user'

const secret = (value: string) => ({
  metadata: { name: 'keys', namespace: 'conformance' },
  data: { key: Buffer.from(value).toString('base64') }
})
const configMap = { metadata: { name: 'words', namespace: 'conformance' }, data: { greeting: 'hello' } }

for (const { who, uid, isRoot } of accounts)
  t.test(`a plugin of ${who}`, async (t) => {
    if (!requireReal(t, reason)) return
    const site = await startSite(t, {
      ...(uid === undefined ? {} : { uid }),
      env: { SITE_PASSWORD: 'only-for-the-plugin' }
    })
    t.jobs = 4

    await t.test(
      'two containers share an emptyDir, and see their files, their name and their user',
      async (t) => {
        const volumes = [
          { name: 'shared', emptyDir: {} },
          { name: 'words', configMap: { name: 'words' } },
          { name: 'keys', secret: { secretName: 'keys', defaultMode: 0o400 } }
        ]
        const mounts = [
          { name: 'shared', mountPath: '/shared' },
          { name: 'words', mountPath: '/etc/words' },
          { name: 'keys', mountPath: '/run/keys', readOnly: true }
        ]
        const pod = await site.run(
          {
            hostname: 'little-pod',
            volumes,
            containers: [
              site.shell(
                'hostname; id -u; id -g; cat /etc/words/greeting /run/keys/key; echo >/shared/go; exit 3',
                {
                  securityContext: { runAsUser: 1234, runAsGroup: 2345 },
                  volumeMounts: mounts
                }
              ),
              site.shell(
                'until [ -e /shared/go ]; do sleep 0.1; done; echo x >/usr/made && exit 9; touch /shared/mine && echo held',
                {
                  name: 'other',
                  securityContext: { readOnlyRootFilesystem: true },
                  volumeMounts: mounts.slice(0, 1)
                }
              )
            ]
          },
          { configmaps: [configMap], secrets: [secret('s3cret')] }
        )
        const status = await pod.ended()
        t.equal(of(status).state!.terminated!.exitCode, 3)
        t.equal(of(status, 'other').state!.terminated!.exitCode, 0)
        t.equal(await pod.log(), 'little-pod\n1234\n2345\nhellos3cret')
        t.match(await pod.log('other'), /read-only file system/i)
        t.match(await pod.log('other'), /^held$/m)
        await t.rejects(stat('/etc/words'), 'the machine has nothing of it')
      }
    )

    await t.test("nothing of the plugin's environment is in a process of the job", async (t) => {
      const pod = await site.run({ containers: [site.shell('env; echo told; sleep 600')] })
      await pod.said('told')
      t.notMatch(await pod.log(), /SITE_PASSWORD/)
      const dir = join(site.jobs, `conformance-${pod.uid}`)
      const seen = await environments((command) => command.includes(dir))
      t.ok(seen.length > 0, 'the supervisor is found')
      for (const text of seen) t.notMatch(text, /SITE_PASSWORD/)
    })

    if (!isRoot)
      await t.test("a pod cannot read the plugin's environment", async (t) => {
        const pod = await site.run({
          containers: [site.shell(`cat /proc/${site.pid}/environ >/dev/null && exit 7; exit 0`)]
        })
        t.equal(of(await pod.ended()).state!.terminated!.exitCode, 0)
        t.match(await pod.log(), /permission denied/i)
      })

    await t.test('the files of a job are for its account alone', async (t) => {
      const pod = await site.run({ containers: [site.shell('sleep 600')] })
      await pod.running()
      const dir = join(site.jobs, `conformance-${pod.uid}`)
      const open: string[] = []
      for (const entry of await readdir(dir)) {
        const { mode } = await stat(join(dir, entry))
        if ((mode & 0o077) !== 0) open.push(`${entry} ${(mode & 0o777).toString(8)}`)
      }
      t.same(open, [])
    })

    await t.test('an emptyDir may lie over the directory that the jobs are in', async (t) => {
      const above = join(site.dir, '..')
      const pod = await site.run({
        volumes: [{ name: 'scratch', emptyDir: {} }],
        containers: [
          site.shell(`ls -A ${above}; pwd; echo x >${above}/mine; sleep 600`, {
            workingDir: above,
            volumeMounts: [{ name: 'scratch', mountPath: above }],
            readinessProbe: { exec: { command: ['test', '-e', `${above}/mine`] }, periodSeconds: 1 }
          })
        ]
      })
      await pod.until((status) => of(status).ready === true, 'ready: probes are in the same instance')
      t.equal(await pod.log(), `${above}\n`, 'it is empty, and the working directory is in it')
      await t.rejects(stat(join(above, 'mine')))
    })
  })

/** The environments of the processes whose command line fits. */
async function environments(fits: (command: string) => boolean): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (!fits(command) || command.includes('support-process-program')) continue
    found.push(await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''))
  }
  return found
}
