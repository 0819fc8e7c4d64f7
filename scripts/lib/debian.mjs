import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { say, step } from './step.mjs'

/** What the tests run beside Node.js, by the program that shows that the package is there. */
const packages = {
  atd: 'at',
  busybox: 'busybox-static',
  chromium: 'chromium',
  curl: 'curl',
  'docker-registry': 'docker-registry',
  faketime: 'faketime',
  fish: 'fish',
  mariadbd: 'mariadb-server',
  mksquashfs: 'squashfs-tools',
  munged: 'munge',
  openssl: 'openssl',
  podman: 'podman',
  runc: 'runc',
  sbatch: 'slurm-client',
  shellcheck: 'shellcheck',
  skopeo: 'skopeo',
  slurmctld: 'slurmctld',
  slurmd: 'slurmd',
  slurmdbd: 'slurmdbd',
  squashfuse_ll: 'squashfuse',
  sshd: 'openssh-server',
  sudo: 'sudo',
  'systemd-analyze': 'systemd',
  umoci: 'umoci',
  zsh: 'zsh'
}
/** Daemons are where the PATH of an ordinary account does not lead. */
const daemonDirectories = ['/usr/sbin', '/sbin']

/** Packages without a program: Chromium alone draws no text, and Python alone makes no virtual environment. */
const files = {
  '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf': 'fonts-dejavu-core',
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1': 'libfaketime',
  '/usr/lib/python3.11/ensurepip/__init__.py': 'python3-venv'
}

/** Installs the Debian packages that the tests need, as far as this machine and its user allow. */
export async function ensureDebianPackages({ required }) {
  const missing = Object.keys(packages)
    .filter((program) => !onPath(program))
    .map((program) => packages[program])
    .concat(Object.keys(files).flatMap((file) => (existsSync(file) ? [] : files[file])))
  if (missing.length === 0) return
  if (process.getuid() !== 0 || !isDebian()) {
    say(`Missing, and not installed without root on Debian: ${missing.join(' ')}; their tests cannot run`)
    return
  }
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const aptGet = (title, ...args) =>
    step(title, 'apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], { env: environment })
  try {
    await aptGet('Refreshing the Debian package lists', 'update')
    await aptGet('Installing Debian packages', 'install', '-y', '--no-install-recommends', ...missing)
  } catch (error) {
    if (required) throw error
    say(`${error.message}\nGoing on without ${missing.join(' ')}`)
  }
}

const onPath = (program) =>
  [...process.env.PATH.split(delimiter), ...daemonDirectories].some((directory) =>
    existsSync(join(directory, program))
  )

const isDebian = () =>
  existsSync('/etc/os-release') && /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'))
