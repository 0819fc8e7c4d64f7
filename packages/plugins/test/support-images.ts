/** Images made on this machine, without a network, and the runtimes that run them. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

export const call = promisify(execFile)
export const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))

const applets =
  'cat chmod cp date echo env head hostname id kill ls mkdir printf pwd rm sh sleep stat stty test touch tr true wc'.split(
    ' '
  )

/** An unpacked image: busybox, and an entrypoint that says how it was called. */
export async function unpackedImage(root: string): Promise<string> {
  for (const part of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'root', 'var/tmp', '.singularity.d'])
    await mkdir(join(root, part), { recursive: true })
  await copyFile(busybox!, join(root, 'bin/busybox'))
  await chmod(join(root, 'bin/busybox'), 0o755)
  for (const applet of applets) await symlink('busybox', join(root, 'bin', applet))
  await writeFile(join(root, 'etc/os-release'), 'ID=little\n')
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n')
  for (const name of ['hosts', 'resolv.conf']) await writeFile(join(root, 'etc', name), '')
  const entry = '#!/bin/sh\necho "entered with $#: $*"\nexit 9\n'
  await writeFile(join(root, 'entry'), entry, { mode: 0o755 })
  await writeFile(join(root, '.singularity.d/runscript'), '#!/bin/sh\nexec /entry "$@"\n', { mode: 0o755 })
  return root
}

export async function ownedBy(path: string, uid: number | undefined): Promise<void> {
  if (uid !== undefined) await chown(path, uid, uid)
}

/** Variables that would steer a program of the machine, or that text made of them would be evaluated. */
export const hostile = (evil: string): { name: string; value: string }[] => [
  { name: 'LD_PRELOAD', value: evil },
  { name: 'LD_LIBRARY_PATH', value: '/srv' },
  { name: 'XDG_RUNTIME_DIR', value: '/srv' },
  { name: 'XDG_CONFIG_HOME', value: '/srv' },
  { name: 'CONTAINERS_CONF', value: '/srv/conf' },
  { name: 'CONTAINERS_STORAGE_CONF', value: '/srv/conf' },
  { name: 'APPTAINER_BIND', value: '/etc:/stolen' },
  { name: 'APPTAINERENV_ODD', value: 'odd' },
  { name: 'SINGULARITYENV_ODD', value: 'odd' },
  { name: 'HOME', value: '/srv' },
  { name: 'TMPDIR', value: '/srv' },
  { name: 'PATH', value: '/bin:/srv' },
  { name: 'EVALUATED', value: '$(touch /data/evaluated) `touch /data/evaluated` ${HOME} $HOME' },
  { name: 'QUOTED', value: `a"b'c\\d # e` },
  { name: 'LINES', value: 'one\n$(touch /data/evaluated)\nthree\n' },
  { name: 'EMPTY', value: '' }
]
