/** Roots of images made on this machine, without a network. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const call = promisify(execFile)
export const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))

/** An unpacked image: busybox under all its names, and what a program expects to find. */
export async function busyboxRoot(root: string): Promise<string> {
  for (const part of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'root', 'var/tmp', 'home', 'usr', 'work'])
    await mkdir(join(root, part), { recursive: true })
  await copyFile(busybox!, join(root, 'bin/busybox'))
  await chmod(join(root, 'bin/busybox'), 0o755)
  const { stdout } = await call(busybox!, ['--list'])
  for (const name of stdout.trim().split('\n'))
    if (name !== 'busybox') await symlink('busybox', join(root, 'bin', name)).catch(() => {})
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n')
  for (const name of ['hosts', 'resolv.conf']) await writeFile(join(root, 'etc', name), '')
  return root
}
