import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Job } from '../kit/backend.ts'

const programs = ['isolate.sh', 'join.pl'].map((name) => ({
  name,
  program: new URL(`../../assets/${name}`, import.meta.url)
}))

/** What the launches of a job need beside the supervisor's files: the programs, and the pod's /etc/hosts. */
export async function prepareIsolation({ plan, dir }: Job): Promise<void> {
  for (const { name, program } of programs) {
    const copy = join(dir, name)
    await copyFile(program, copy)
    await chmod(copy, 0o700)
  }
  const machine = await readFile('/etc/hosts', 'utf8').catch(() => '127.0.0.1 localhost\n')
  const own = plan.hosts.map(({ ip, hostnames }) => `${ip}\t${hostnames.join(' ')}`)
  await writeFile(join(dir, 'hosts'), `${machine.replace(/\n*$/, '\n')}# the pod\n${own.join('\n')}\n`, {
    mode: 0o600
  })
}
