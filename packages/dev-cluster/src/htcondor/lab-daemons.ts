/** How the daemons of a lab are started, and found again when it ends. */
import { join } from 'node:path'
import { tmpdir, userInfo } from 'node:os'
import { endTrees } from '../support/end-trees.ts'
import type { LabShape } from './lab-configuration.ts'

type Command = readonly [string, ...string[]]

/**
 * HTCondor runs no job as root. For root the daemons are in a user namespace in which they are another account:
 * files are root's outside, as the plugin of the lab is. Where jobs are of several accounts there is no namespace.
 */
export const account = { uid: 1, gid: 1 }

/** `uid.gid` of the daemons, as they see themselves. */
export function idsOf(): string {
  const { uid, gid } = isRoot() ? account : userInfo()
  return `${uid}.${gid}`
}

const isRoot = (): boolean => process.getuid?.() === 0

const inAccount = ({ uid, gid }: { uid: number; gid: number }, command: Command): Command => [
  'unshare',
  '--user',
  `--map-user=${uid}`,
  `--map-group=${gid}`,
  ...command
]

/** A daemon that shares files with whoever started it, or with the accounts whose jobs it runs. */
export const besideUs = (command: Command, { users }: Pick<LabShape, 'users'>): Command =>
  isRoot() && users.length === 0 ? inAccount(account, command) : command

/** A daemon of a machine with a temporary directory of its own, in which it has nothing but its `home`. */
export const apart = (home: string, command: Command): Command => [
  'unshare',
  '--mount',
  '--propagation=private',
  ...(isRoot() ? [] : ['--map-root-user']),
  'sh',
  '-c',
  `exec 9<"$1"
mount -t tmpfs tmpfs "$0"
mkdir -p "$1"
mount --no-canonicalize --bind /proc/self/fd/9 "$1"
exec 9<&-
cd "$1"
shift
exec "$@"`,
  tmpdir(),
  home,
  ...inAccount(isRoot() ? account : userInfo(), command)
]

/** Daemons and their jobs leave the group they were started in: their environment names the lab. */
export const endOf = (dir: string): string =>
  endTrees(
    String.raw`mine=$(grep -lzE '^(CONDOR_CONFIG=${dir}/(central|schedd|n[0-9]+)/|_CONDOR_SCRATCH_DIR=${dir}/)' /proc/[0-9]*/environ 2>/dev/null | sed 's|^/proc/\([0-9]*\)/.*|\1|')`
  )

/** Files below a lab's directory. */
export const configOf = (dir: string, role: string): string => join(dir, role, 'condor_config')
