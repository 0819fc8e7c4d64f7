import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const call = promisify(execFile)

const passwd = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'
const inittab = [
  '::sysinit:/bin/mkdir -p /run /tmp',
  '::ctrlaltdel:/bin/halt',
  '::shutdown:/bin/killall5 -TERM',
  ''
]

/** Writes the smallest image that boots, of busybox and this machine's perl, as Incus imports it. */
export async function writeBusyboxImage(busybox: string, work: string, file: string): Promise<void> {
  const tree = join(work, 'image')
  const root = join(tree, 'rootfs')
  const folders = 'bin sbin etc proc sys dev tmp root run mnt var/log usr/bin usr/sbin'.split(' ')
  for (const folder of folders) await mkdir(join(root, folder), { recursive: true })
  await copyFile(busybox, join(root, 'bin/busybox'))
  const applets = (await call(busybox, ['--list'])).stdout.trim().split('\n')
  for (const applet of applets) if (applet !== 'busybox') await symlink('busybox', join(root, 'bin', applet))
  await symlink('../bin/busybox', join(root, 'sbin/init'))
  await writeFile(join(root, 'etc/passwd'), passwd)
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n')
  await writeFile(join(root, 'etc/hosts'), '127.0.0.1 localhost\n')
  await writeFile(join(root, 'etc/inittab'), inittab.join('\n'))
  await copyPerl(root)
  const architecture = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? process.arch
  await writeFile(
    join(tree, 'metadata.yaml'),
    `architecture: ${architecture}\ncreation_date: 1\nproperties: {os: busybox, description: busybox}\n`
  )
  await call('tar', [
    '--numeric-owner',
    '--owner=0',
    '--group=0',
    '-C',
    tree,
    '-czf',
    file,
    'metadata.yaml',
    'rootfs'
  ])
  await rm(tree, { recursive: true })
}

/** With what it is linked against, and of its modules those of Debian's perl-base and Time::HiRes. */
async function copyPerl(root: string): Promise<void> {
  const perl = '/usr/bin/perl'
  if (!existsSync(perl)) return
  const script = 'print "$_\n" for (grep { m{/perl-base$} } @INC), $INC{"Time/HiRes.pm"} =~ s/\\.pm$//r'
  const [modules = '', clock = ''] = (await call(perl, ['-MTime::HiRes', '-e', script])).stdout
    .trim()
    .split('\n')
  const binary = clock.replace(/\/Time\/HiRes$/, '/auto/Time/HiRes/HiRes.so')
  const libraries = (await call('ldd', [perl])).stdout.match(/\/\S+/g) ?? []
  for (const file of [perl, ...libraries, `${clock}.pm`, binary]) {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await copyFile(file, join(root, file))
  }
  await cp(modules, join(root, modules), { recursive: true })
}
