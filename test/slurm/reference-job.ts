/** Job directories as the reference's Slurm plugin leaves them, with a job of theirs that really runs. */
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SlurmLab } from '@interlink-ts/dev-cluster/slurm'

export interface ReferenceContainer {
  readonly name: string
  readonly init?: boolean
  readonly script: string
}

export interface ReferenceJob {
  readonly uid: string
  readonly dir: string
  readonly jobId: string
}

const functions = `
runInitCtn() {
  ctn="$1"
  shift
  time ( "$@" ) &> "\${workingPath}/init-\${ctn}.out"
  exitCode="$?"
  printf "%s\\n" "\${exitCode}" > "\${workingPath}/init-\${ctn}.status"
  [ "\${exitCode}" = 0 ] || exit "\${exitCode}"
}
runCtn() {
  ctn="$1"
  shift
  time ( "$@" ) >> "\${workingPath}/run-\${ctn}.out" 2>&1 &
  pidCtns="\${pidCtns} $!:\${ctn}"
}
waitCtns() {
  for pidCtn in \${pidCtns}; do
    wait "\${pidCtn%:*}"
    exitCode="$?"
    printf "%s\\n" "\${exitCode}" > "\${workingPath}/run-\${pidCtn#*:}.status"
    [ "\${exitCode}" -le "\${highest:-0}" ] || highest="\${exitCode}"
  done
}
endScript() {
  exit "\${highest:-0}"
}
`

/** Makes a directory below the data root; without `lab` its job has ended long ago. */
export async function referenceJob(
  root: string,
  containers: readonly ReferenceContainer[],
  lab?: SlurmLab
): Promise<ReferenceJob> {
  const uid = randomUUID()
  const dir = join(root, `default-${uid}`)
  await mkdir(dir, { recursive: true })
  const write = (name: string, text: string, mode = 0o644) => writeFile(join(dir, name), text, { mode })
  const calls = containers.map(
    ({ name, init, script }) => `run${init ? 'Init' : ''}Ctn ${name} /bin/sh -c '${script}'\n`
  )
  const header = [`#SBATCH --job-name=${uid}`, `#SBATCH --output=${dir}/job.out`, '#SBATCH --mem=16']
  await write('job.slurm', ['#!/bin/bash', ...header, '', `${dir}/job.sh`, ''].join('\n'), 0o774)
  await write(
    'job.sh',
    [
      functions,
      `export workingPath=${dir}`,
      `export SANDBOX=${dir}`,
      ...calls,
      'waitCtns',
      'endScript',
      ''
    ].join('\n'),
    0o774
  )
  const submitted = await lab?.run('sbatch', join(dir, 'job.slurm'))
  const jobId = /Submitted batch job (\d+)/.exec(submitted ?? '')?.[1] ?? '99999999'
  await write('JobID.jid', jobId)
  await write('PodUID.uid', uid)
  await write('PodNamespace.ns', 'default')
  return { uid, dir, jobId }
}
