import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { connect } from 'node:net'
import { startSlurmLab, type SlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import { startBackendProcess, startSlurmPluginProcess, type BackendProcess } from './backend-process.ts'
import { percentile, round, type Figures } from './figures.ts'
import { idlePod } from './idle-pod.ts'
import { countRunning, memoryOfSessions } from './session-memory.ts'
import { benchKubectl, sshArgv } from './streams-by-kubectl.ts'
import { bestOf, drain, forward, ofCommand, ofExec, rate, startSender, timed } from './transfers.ts'

const MB = 1e6
type Say = (text: string) => void

/** Sessions in a job of a real Slurm, against what srun, ssh and a socket do by themselves. */
export async function benchStreams(say: Say, share: number): Promise<Figures> {
  const load = round(loadavg()[0]!, 2)
  const lab = await startSlurmLab({ nodes: 1, gpus: 0 })
  const sshd = await startSshd()
  try {
    const bySrun = await startSlurmPluginProcess(lab, 4)
    const srun = await benchSrun(bySrun, lab, say, share).finally(() => bySrun.stop())
    const callHome = { via: ['call-home'], callHome: { listen: 'http://127.0.0.1:0' } }
    const byCall = await startSlurmPluginProcess(lab, 4, { streams: callHome })
    try {
      const sideChannel = await benchSideChannel(byCall, sshd, say, share)
      const local = await benchLocal(say, share)
      const whole = await benchKubectl(byCall.url, sshd, say, share)
      return { loadBefore: load, ...srun, ...sideChannel, ...local, ...whole }
    } finally {
      await byCall.stop()
    }
  } finally {
    await sshd.close()
    await lab.close()
  }
}

/** The usual way into a job. */
async function benchSrun(plugin: BackendProcess, lab: SlurmLab, say: Say, share: number): Promise<Figures> {
  const { client } = plugin
  const { uid, jobId } = await idlePod(client)
  const step = ['--overlap', '--nodes=1', '--ntasks=1', '--mem=0', '--unbuffered', `--jobid=${jobId}`]
  const exec = (command: string[], stdin = false) =>
    client.stream(uid, { kind: 'exec', container: 'main', command, stdin, tty: false })

  await (
    await exec(['true'])
  ).status
  const bareTimes: number[] = []
  const times: number[] = []
  for (let turn = Math.max(10, Math.round(60 * share)); turn > 0; turn--) {
    bareTimes.push(await timed(() => once(spawn('srun', [...step, 'true'], { env: lab.env }), 'exit')))
    times.push(
      await timed(async () => {
        const session = await exec(['true'])
        session.output.resume()
        session.errors.resume()
        await session.status
      })
    )
  }
  const [bare, through] = [bareTimes, times].map((all) => round(percentile(all, 0.5))) as [number, number]
  say(`exec of true: ${bare} ms by srun alone, ${through} ms by exec`)

  const copied = Math.round(50 * MB * share)
  const srun = ofCommand((command) => ['srun', ...step, ...command], lab.env)
  const ours = ofExec(client, uid)
  const took = await bestOf({
    put: () => ours.put(copied),
    putBare: () => srun.put(copied),
    get: () => ours.get(copied),
    getBare: () => srun.get(copied)
  })
  say(
    `by srun: ${rate(copied, took.put)} of ${rate(copied, took.putBare)} MB/s in, ${rate(copied, took.get)} of ${rate(copied, took.getBare)} out`
  )

  const sessions = 100
  const idle = `100${process.pid}`
  const before = await memoryOfSessions(plugin.pid)
  const open = await Promise.all(Array.from({ length: sessions }, () => exec(['sleep', idle], true)))
  await eventually(async () => (await countRunning(`sleep ${idle}`)) >= sessions, { deadlineMs: 60_000 })
  const during = await memoryOfSessions(plugin.pid)
  for (const session of open) session.destroy()
  const [here, there] = [round(during.here - before.here), round(during.there - before.there)]
  say(`${sessions} sessions: ${here} MB more here, ${there} MB more on the node`)
  return {
    execTrueP50Ms: through,
    srunTrueP50Ms: bare,
    execOverSrun: round(through / bare, 2),
    srunCopyInMBs: rate(copied, took.put),
    srunCopyInOverSrun: round(took.putBare / took.put, 2),
    srunCopyOutMBs: rate(copied, took.get),
    srunCopyOutOverSrun: round(took.getBare / took.get, 2),
    sessions,
    sessionsPluginMB: here,
    sessionsNodeMB: there
  }
}

/** The way where neither srun nor ssh lead into a job. */
async function benchSideChannel({ client }: BackendProcess, sshd: Sshd, say: Say, share: number) {
  const { uid } = await idlePod(client)
  const copied = Math.round(50 * MB * share)
  const forwarded = Math.round(2 ** 30 * share)
  const sender = await startSender(forwarded)
  const ours = ofExec(client, uid)
  const ssh = ofCommand((command) => [...sshArgv(sshd), command.map((word) => `'${word}'`).join(' ')])
  const took = await bestOf({
    put: () => ours.put(copied),
    putBare: () => ssh.put(copied),
    get: () => ours.get(copied),
    getBare: () => ssh.get(copied),
    forward: () => forward(client, uid, sender.port, forwarded),
    forwardBare: () => ssh.get(forwarded)
  }).finally(() => sender.close())
  say(
    `by call-home: ${rate(copied, took.put)} of ${rate(copied, took.putBare)} MB/s in, ${rate(copied, took.get)} of ${rate(copied, took.getBare)} out, ${rate(forwarded, took.forward)} of ${rate(forwarded, took.forwardBare)} of a port`
  )
  return {
    callHomeCopyInMBs: rate(copied, took.put),
    callHomeCopyInOverSsh: round(took.putBare / took.put, 2),
    callHomeCopyOutMBs: rate(copied, took.get),
    callHomeCopyOutOverSsh: round(took.getBare / took.get, 2),
    callHomeForwardMBs: rate(forwarded, took.forward),
    callHomeForwardOverSsh: round(took.forwardBare / took.forward, 2)
  }
}

/** The process backend, whose jobs are where it is. */
async function benchLocal(say: Say, share: number): Promise<Figures> {
  const forwarded = Math.round(2 ** 30 * share)
  const directory = temporaryDirectory('bench')
  const plugin = await startBackendProcess('process', directory.path)
  const sender = await startSender(forwarded)
  try {
    const { uid, metadata } = await idlePod(plugin.client)
    const took = await bestOf({
      forward: () => forward(plugin.client, uid, sender.port, forwarded),
      socket: () => drain(connect(sender.port, '127.0.0.1'), forwarded)
    })
    await plugin.client.delete({ metadata })
    await eventually(async () => (await plugin.client.status([{ metadata }])).length === 0)
    say(`of this machine: ${rate(forwarded, took.forward)} of ${rate(forwarded, took.socket)} MB/s of a port`)
    return {
      localForwardMBs: rate(forwarded, took.forward),
      localForwardOverSocket: round(took.socket / took.forward, 2)
    }
  } finally {
    sender.close()
    await plugin.stop()
    await directory.remove()
  }
}
