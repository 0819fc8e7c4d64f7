import t, { type Test } from 'tap'
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { streams } from '../../../test/conformance/cases/streams.ts'
import { of } from '../../../test/conformance/workbench.ts'
import { requireReal } from '../../../test/support/require-real.ts'
import { startSite, type Site } from './support-process.ts'

const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))
const applets = 'cat date echo hostname id ls mkdir printf rm sh sleep stty test touch'.split(' ')
/** As a site has it that has neither. */
const bareSite = { images: { apptainer: '', podman: '' } }

/** An unpacked image below the site's directory. */
async function unpack(site: Site, name: string): Promise<string> {
  const root = join(site.dir, name)
  for (const part of ['bin', 'etc', 'tmp']) await mkdir(join(root, part), { recursive: true })
  await copyFile(busybox!, join(root, 'bin/busybox'))
  for (const applet of applets) await symlink('busybox', join(root, 'bin', applet))
  await chmod(join(root, 'tmp'), 0o1777)
  await writeFile(join(root, 'etc/os-release'), 'ID=little\n')
  // Where a user namespace knows not whose a directory is, overlay lets nobody write into it.
  await promisify(execFile)('chown', ['-hR', `${site.uid}:${site.uid}`, root])
  return root
}

const needed = () =>
  process.getuid!() !== 0
    ? 'the images are made by root'
    : busybox
      ? undefined
      : 'busybox is missing; install busybox-static'

for (const uid of [undefined, 65534])
  t.test(`unpacked images, under ${uid ? 'an ordinary user' : 'root'}`, async (t) => {
    if (!requireReal(t, needed())) return
    const site = await startSite(t, { ...(uid ? { uid } : {}), config: { options: bareSite } })
    await t.test('a container runs in an unpacked image with its volumes', (t) => runs(t, site))
    await t.test('links of an image lead nowhere but into the image', (t) => escapes(t, site))
    await t.test('what is no image is refused', (t) => refusals(t, site))
    const image = await unpack(site, 'streams')
    for (const { name, run } of streams)
      await t.test(name, () =>
        run({ ...site, shell: (script, more = {}) => site.shell(script, { image, ...more }) })
      )
  })

async function runs(t: Test, site: Site) {
  const image = await unpack(site, 'little')
  const pod = await site.run({
    hostname: 'in-image',
    volumes: [{ name: 'shared', emptyDir: {} }],
    containers: [
      site.shell('cat /etc/os-release; hostname; id -u; echo x >/made && ls /made; echo x >/data/seen', {
        image,
        securityContext: { runAsUser: 1234 },
        volumeMounts: [{ name: 'shared', mountPath: '/data' }]
      }),
      site.shell(
        'until [ -e /data/seen ]; do sleep 0.1; done; ls /made; touch /made; echo "$?"; touch /data/mine; exit 4',
        {
          name: 'readonly',
          image,
          securityContext: { readOnlyRootFilesystem: true },
          volumeMounts: [{ name: 'shared', mountPath: '/data' }]
        }
      )
    ]
  })
  const status = await pod.ended()
  t.equal(await pod.log(), 'ID=little\nin-image\n1234\n/made\n')
  t.match(await pod.log('readonly'), /No such file/)
  t.match(await pod.log('readonly'), /Read-only file system/)
  t.equal(of(status, 'readonly').state!.terminated!.exitCode, 4)
  t.same((await readdir(image)).sort(), ['bin', 'etc', 'tmp'], 'the image itself is as it was')
}

async function escapes(t: Test, site: Site) {
  const image = await unpack(site, 'hostile')
  const outside = join(site.dir, 'outside')
  await mkdir(outside)
  await writeFile(join(outside, 'target'), 'untouched')
  await symlink(outside, join(image, 'absolute'))
  await symlink('../'.repeat(30) + outside.slice(1), join(image, 'relative'))
  await mkdir(join(image, 'srv'))
  await symlink(outside, join(image, 'dev'))
  await symlink(outside, join(image, 'proc'))
  await symlink(outside, join(image, 'sys'))
  const odd = '/we\'ird "dir" $(touch x)\\ , a'
  const pod = await site.run({
    volumes: [{ name: 'v', emptyDir: {} }],
    containers: [
      site.shell(
        'echo inside >/absolute/made/file; echo inside >/relative/made2/file; ls -d /we*; rm -r /srv && mkdir /srv && ls -a /proc/self/fd; sleep 600',
        {
          image,
          terminationMessagePath: '/absolute/last/words',
          volumeMounts: ['/absolute/made', '/relative/made2', odd].map((mountPath) => ({
            name: 'v',
            mountPath
          }))
        }
      )
    ]
  })
  await pod.said("we'ird")
  const settled = await pod.running()
  t.ok(of(settled).state!.running, 'it runs')
  t.notMatch(await pod.log(), /can't|cannot/)
  t.same(await readdir(outside), ['target'], 'nothing appears on the machine')
}

async function refusals(t: Test, site: Site) {
  const refusal = async (image: string, more = {}) =>
    (await site.refusal({ containers: [site.shell('true', { image, ...more })] })).message
  t.match(await refusal('busybox:1.36'), /containers\[0\]\.image.*install one of them/)
  t.match(await refusal('$(touch /tmp/x); "\n'), /containers\[0\]\.image.*without blanks/s)
  t.match(await refusal('`id`$(id)"\''), /containers\[0\]\.image.*install one of them/s)
  t.match(await refusal(`${site.dir}/none.sif`), /Apptainer.*install it/)
  t.match(await refusal(`${site.dir}/../etc`), /"\.\."/)
  t.match(await refusal(`${site.dir}/jobs`), /no unpacked image/)
  const mounted = (volume: object) =>
    site.refusal({
      volumes: [{ name: 'v', ...volume }],
      containers: [site.shell('true', { volumeMounts: [{ name: 'v', mountPath: '/x/../../etc' }] })]
    })
  t.match((await mounted({ hostPath: { path: '/root' } })).message, /hostPath/)
}

t.test('images lie only where the site has them', async (t) => {
  const site = await startSite(t, { config: { options: { images: { directories: ['/srv/images'] } } } })
  const { message } = await site.refusal({ containers: [site.shell('true', { image: '/srv/other/image' })] })
  t.match(message, /outside of \/srv\/images/)
})
