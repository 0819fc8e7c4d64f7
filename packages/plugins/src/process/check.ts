import { access, constants } from 'node:fs/promises'
import type { Check } from '../kit/backend.ts'
import { findTool, type Machine } from './machine.ts'

/** What the process backend needs of the machine, for `interlink doctor`. */
export async function checkMachine(machine: Machine): Promise<Check[]> {
  const shell = await access(machine.shell, constants.X_OK).then(
    () => true,
    () => false
  )
  const linux = process.platform === 'linux'
  const [setsid, perl, python] = await Promise.all(['setsid', 'perl', 'python3'].map(findTool))
  return [
    { name: 'linux', ok: linux, detail: process.platform, fix: 'run the process backend on Linux' },
    {
      name: 'shell',
      ok: shell,
      detail: machine.shell,
      fix: 'set options.shell to a POSIX shell such as /bin/sh'
    },
    {
      name: 'sessions',
      ok: (setsid ?? perl) !== undefined,
      detail: setsid ?? perl ?? 'neither setsid nor perl',
      fix: 'install util-linux (apt-get install util-linux)'
    },
    {
      name: 'mounts',
      ok: machine.namespaces !== undefined,
      detail: machine.namespaces
        ? 'mount namespaces: volumes appear where pods ask for them'
        : 'no mount namespaces: pods with volumes are refused',
      fix: machine.why ?? ''
    },
    {
      name: 'uids',
      ok: true,
      detail: machine.userNamespaces
        ? 'user namespaces: pods see the uid they ask for'
        : 'no user namespaces: pods see the uid of this account'
    },
    {
      name: 'overlay',
      ok: true,
      detail: machine.overlay
        ? 'overlay: unpacked images run without a runtime'
        : 'no overlay: unpacked images need Apptainer'
    },
    {
      name: 'any environment name',
      ok: true,
      detail: perl ?? python ?? 'names such as a.b cannot be set; install perl or python3'
    },
    {
      name: 'images',
      ok: true,
      detail: imagesOf(machine)
    }
  ]
}

function imagesOf({ apptainer, podman, namespaces, overlay }: Machine): string {
  const kinds = [
    'host',
    ...(namespaces && overlay ? ['unpacked directories'] : []),
    ...(apptainer ? [`Apptainer (${apptainer})`] : []),
    ...(podman ? [`Podman (${podman})`] : [])
  ]
  return kinds.length > 1 ? kinds.join(', ') : 'only host; install apptainer or podman for others'
}
