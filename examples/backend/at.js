// Pods as jobs of at(1): a whole backend, as docs/guides/write-a-plugin.md explains it.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Type } from 'typebox'

// Of the plugin's own environment, which may hold secrets, at(1) would give the job everything.
const env = { PATH: process.env.PATH, HOME: process.env.HOME }
const call = (file, ...args) => promisify(execFile)(file, args, { env })

// In every pod of a cluster, whether it asks for it or not.
const account = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Lines of atq(1): `7\tSat Nov 21 13:12:00 2026 a root`; the queue of a job that runs is `=`. */
async function queued() {
  const { stdout } = await call('atq')
  const lines = stdout.split('\n').filter((line) => line !== '')
  return new Map(lines.map((line) => [line.split('\t')[0], line.split(' ').at(-2)]))
}

/** @type {import('@interlink-ts/plugins/kit').BackendModule} */
export default {
  name: 'at',
  options: Type.Object({
    queue: Type.String({ default: 'a', pattern: '^[a-zA-Z]$', description: 'queue of at(1)' })
  }),
  create: ({ queue }, { log }) => ({
    name: 'at',

    async check() {
      const ok = await queued().then(Boolean, () => false)
      const detail = ok ? 'jobs can be queued' : 'atq does not answer'
      return [{ name: 'at', ok, detail, fix: 'apt-get install at, and start atd' }]
    },

    async render(plan) {
      const refusals = []
      const notices = new Set()
      const launches = {}
      for (const { name, kind, image, command, args = [], mounts, workingDir = '/' } of plan.containers) {
        const field = `spec.${kind === 'main' ? 'containers' : 'initContainers'}.${name}`
        const refuse = (key, message) => refusals.push({ field: `${field}.${key}`, message })
        if (image !== 'host') refuse('image', 'only the image "host" runs here: the machine itself')
        if (!command) refuse('command', 'the image "host" has no entrypoint; give a command')
        if (mounts.some(({ mountPath }) => mountPath !== account))
          refuse('volumeMounts', 'nothing can be mounted here')
        else if (mounts.length > 0) notices.add(`container ${name} finds no token at ${account}`)
        launches[name] = { run: [...(command ?? []), ...args], enter: [], cwd: workingDir }
      }
      if (refusals.length > 0) return { refusals }
      return { launches, notices: [...notices].map((message) => ({ reason: 'NotMounted', message })) }
    },

    async submit(job) {
      const { stderr } = await call('at', '-M', '-q', queue, '-f', join(job.dir, 'job.sh'), 'now')
      const jobId = /^job (\d+) at/m.exec(stderr)?.[1]
      if (!jobId) throw new Error(`at said: ${stderr}`)
      log.info({ uid: job.uid, jobId }, 'queued')
      return { jobId }
    },

    async find(job) {
      for (const jobId of (await queued()).keys()) {
        const script = await call('at', '-c', jobId).catch(() => ({ stdout: '' }))
        if (script.stdout.includes(`${job.dir}/supervisor.sh`)) return { jobId }
      }
      return undefined
    },

    async list(jobs) {
      const queues = await queued()
      const phase = (jobId) => (!queues.has(jobId) ? 'gone' : queues.get(jobId) === '=' ? 'active' : 'queued')
      return new Map(jobs.map(({ uid, jobId }) => [uid, { phase: phase(jobId) }]))
    },

    async cancel(job, graceSeconds) {
      // The supervisor of a job that runs looks at this file every second.
      await writeFile(join(job.dir, 'stop'), `${graceSeconds}\n`, { mode: 0o600 })
      const at = (await queued()).get(job.jobId)
      if (at !== undefined && at !== '=') await call('atrm', job.jobId)
    }
  })
}
