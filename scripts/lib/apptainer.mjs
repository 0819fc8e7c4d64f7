import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, say, step } from './step.mjs'

/** Where Apptainer is put; the tests look here after PATH. */
export const apptainerHome = '/opt/apptainer'

const aptSuite = join(root, 'scripts/lib/apt-suite.sh')

/**
 * Debian has Apptainer in its unstable suite only. Its package is unpacked beside the system, which stays as it is.
 * Of a newer C library its programs need but two symbols, which older ones have under another name.
 */
export async function ensureApptainer({ required }) {
  if (works(`${apptainerHome}/bin/apptainer`) || works('apptainer')) return
  if (process.getuid() !== 0 || process.arch !== 'x64' || !existsSync('/etc/debian_version')) {
    say('Apptainer is missing, and not installed without root on Debian for x86-64; its tests cannot run')
    return
  }
  const work = mkdtempSync(join(tmpdir(), 'interlink-apptainer-'))
  try {
    await step('Fetching Apptainer', 'sh', [aptSuite, 'sid', work, 'download', 'apptainer'])
    unpack(work)
    if (!works(`${apptainerHome}/bin/apptainer`)) throw new Error('Apptainer does not run on this machine')
  } catch (error) {
    if (required) throw error
    say(`${error.message}\nGoing on without Apptainer`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const works = (program) => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function unpack(work) {
  const tree = join(work, 'tree')
  execFileSync('sh', ['-c', 'dpkg-deb -x "$1"/apptainer_*.deb "$2"', 'unpack', work, tree])
  const lib = join(tree, 'usr/lib/x86_64-linux-gnu/apptainer')
  for (const file of [
    join(tree, 'usr/bin/apptainer'),
    join(lib, 'bin/starter'),
    join(lib, 'lib/offsetpreload.so')
  ])
    writeFileSync(file, forOlderLibc(readFileSync(file)))
  rmSync(apptainerHome, { recursive: true, force: true })
  for (const [from, to] of [
    ['usr', ''],
    ['etc', 'etc'],
    ['var', 'var']
  ])
    cpSync(join(tree, from), join(apptainerHome, to), { recursive: true, verbatimSymlinks: true })
  // The starter takes lib for its prefix.
  for (const name of ['etc', 'var']) symlinkSync(`../${name}`, join(apptainerHome, 'lib', name))
  for (const [name, target] of [
    ['run-singularity', 'run-singularity.apptainer'],
    ['singularity', 'singularity.apptainer']
  ])
    if (!existsSync(join(apptainerHome, 'bin', name))) symlinkSync(target, join(apptainerHome, 'bin', name))
  // Images are mounted by the account that runs them.
  if (existsSync('/dev/fuse')) chmodSync('/dev/fuse', 0o666)
}

/** `__isoc23_strtol` of GLIBC_2.38 is called by its older name `strtol`, of GLIBC_2.2.5; elf(5). */
export function forOlderLibc(bytes) {
  const number = (at) => Number(bytes.readBigUInt64LE(at))
  const start = number(40)
  const sections = Array.from({ length: bytes.readUInt16LE(60) }, (_, index) => {
    const at = start + 64 * index
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: number(at + 24),
      size: number(at + 32),
      link: bytes.readUInt32LE(at + 40)
    }
  })
  for (const { type, offset, size, link } of sections) {
    const strings = sections[link]?.offset ?? 0
    if (type === 11)
      for (let at = offset; at < offset + size; at += 24) {
        const name = bytes.readUInt32LE(at)
        if (bytes.toString('latin1', strings + name, strings + name + 9) === '__isoc23_')
          bytes.writeUInt32LE(name + 9, at)
      }
    if (type === 0x6ffffffe) renameVersions(bytes, offset, strings, sections[link].size)
  }
  return bytes
}

function renameVersions(bytes, offset, strings, size) {
  const older = 'GLIBC_2.2.5'
  const base = bytes.subarray(strings, strings + size).indexOf(`\0${older}\0`) + 1
  for (let at = offset, next = 1; next !== 0; at += next) {
    const count = bytes.readUInt16LE(at + 2)
    for (let entry = 0, aux = at + bytes.readUInt32LE(at + 8); entry < count; entry++) {
      const name = strings + bytes.readUInt32LE(aux + 8)
      if (bytes.toString('latin1', name, bytes.indexOf(0, name)) === 'GLIBC_2.38') {
        bytes.writeUInt32LE(elfHash(older), aux)
        bytes.writeUInt32LE(base, aux + 8)
      }
      aux += bytes.readUInt32LE(aux + 12)
    }
    next = bytes.readUInt32LE(at + 12)
  }
}

function elfHash(name) {
  let hash = 0
  for (const char of Buffer.from(name)) {
    hash = ((hash << 4) >>> 0) + char
    const high = (hash & 0xf0000000) >>> 0
    if (high) hash ^= high >>> 24
    hash = (hash & ~high) >>> 0
  }
  return hash
}
