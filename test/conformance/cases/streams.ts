import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { StreamAsk, StreamSession } from '@interlink-ts/interlink-api/client'
import type { InterlinkError } from '@interlink-ts/interlink-api/errors'
import type { Container, PodStatus, StreamKind } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { Skipped, type Case } from '../run-cases.ts'
import { of, type RunningPod, type Workbench } from '../workbench.ts'

/** A case of a backend that offers the streams it uses. */
const offered = (
  kind: StreamKind | 'ephemeral',
  name: string,
  run: (bench: Workbench) => Promise<void>
): Case => ({
  name: `streams: ${name}`,
  async run(bench) {
    if (!(await bench.client.ping()).capabilities.has(kind)) throw new Skipped(`no ${kind} is offered`)
    await run(bench)
  }
})

const open = ({ client }: Workbench, pod: RunningPod, ask: StreamAsk) => client.stream(pod.uid, ask)
const exec = (bench: Workbench, pod: RunningPod, command: string[], { stdin = false, tty = false } = {}) =>
  open(bench, pod, { kind: 'exec', container: 'main', command, stdin, tty })

const all = async (stream: Readable): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** All that a session says, to its end. */
async function hear(session: StreamSession) {
  const [out, err, status] = await Promise.all([
    all(session.output),
    all(session.errors).catch(() => ''),
    session.status
  ])
  const code = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message
  return { out: out.toString(), err: err.toString(), code: status.status === 'Success' ? '0' : code, status }
}

/** What is shown on a terminal, as it comes. */
function watch(session: StreamSession): { readonly shown: string } {
  const seen = { shown: '' }
  session.output.on('data', (chunk: Buffer) => (seen.shown += chunk.toString()))
  return seen
}

const idle = async (bench: Workbench, more = {}) => {
  const pod = await bench.run({ containers: [bench.shell('touch /tmp/mark-of-main; sleep 1000', more)] })
  await pod.running()
  return pod
}

export const streams: readonly Case[] = [
  offered('exec', 'a command runs in the container that is there', async (bench) => {
    const pod = await idle(bench, { env: [{ name: 'WORD', value: 'two words' }] })
    const script = 'ls /tmp/mark-of-main; echo "$WORD"; echo err >&2; exit 7'
    const { out, err, code } = await hear(await exec(bench, pod, ['/bin/sh', '-c', script]))
    equal(out, '/tmp/mark-of-main\ntwo words\n')
    equal(err, 'err\n')
    equal(code, '7')
  }),
  offered('exec', 'bytes of stdin arrive as they are, and so does their end', async (bench) => {
    const pod = await idle(bench)
    const session = await exec(bench, pod, ['cat'], { stdin: true })
    const bytes = randomBytes(1_000_000)
    session.input.end(bytes)
    ok((await all(session.output)).equals(bytes))
    equal((await session.status).status, 'Success')
  }),
  offered('exec', 'words arrive as they are', async (bench) => {
    const pod = await idle(bench)
    const words = [`'"$(id)\`id\`;&|<>*?~#!\\ \t\n`, 'ä€', '', '--', '-n']
    const { out } = await hear(await exec(bench, pod, ['printf', '<%s>', ...words]))
    equal(out, words.map((word) => `<${word}>`).join(''))
  }),
  offered('exec', 'a command that is not there ends with 127', async (bench) => {
    const { err, code } = await hear(await exec(bench, await idle(bench), ['no-such-command']))
    equal(code, '127')
    match(err, /no-such-command/)
  }),
  offered('exec', 'a terminal has its size from the first on, and hears of a new one', async (bench) => {
    const pod = await idle(bench)
    const script = 'test -t 0 && test -t 1 && echo terminal; while read -r _; do stty size; done; exit 3'
    const session = await exec(bench, pod, ['/bin/sh', '-c', script], { stdin: true, tty: true })
    session.resize(101, 33)
    const seen = watch(session)
    await eventually(() => seen.shown.includes('terminal\r\n'))
    // A runtime between has a terminal of its own, which hears of a size a moment after the other.
    const shows = (size: string) =>
      eventually(() => {
        session.input.write('\n')
        return seen.shown.includes(`${size}\r\n`)
      })
    await shows('33 101')
    session.resize(80, 24)
    await shows('24 80')
    session.input.write('\u0004')
    equal((await session.status).details?.causes?.[0]?.message, '3')
  }),
  offered('exec', 'a caller who goes takes the command along', async (bench) => {
    const pod = await idle(bench)
    for (const tty of [false, true]) {
      const beat = `/tmp/beat-${tty}`
      const script = `trap '' HUP; while :; do date +%s%N >${beat}; sleep 0.2; done`
      const session = await exec(bench, pod, ['/bin/sh', '-c', script], { stdin: true, tty })
      const look = async () => (await hear(await exec(bench, pod, ['cat', beat]))).out
      await eventually(async () => (await look()) !== '')
      session.destroy()
      let last = ''
      let same = 0
      await eventually(
        async () => {
          const now = await look()
          same = now === last ? same + 1 : 0
          last = now
          return same >= 3
        },
        { everyMs: 700 }
      )
    }
  }),
  offered('exec', 'twenty at once do not disturb each other', async (bench) => {
    const pod = await idle(bench)
    const codes = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const { out, code } = await hear(
          await exec(bench, pod, ['/bin/sh', '-c', `echo ${index}; exit ${index}`])
        )
        return `${out.trim()} ${code}`
      })
    )
    for (const [index, said] of codes.entries()) equal(said, `${index} ${index}`)
  }),
  offered('exec', 'what does not run is refused in words', async (bench) => {
    const over = await bench.run({ containers: [bench.shell('true')] })
    await over.ended()
    await rejects(exec(bench, over, ['true']), (error: InterlinkError) => error.status === 400)
    const pod = await idle(bench)
    await rejects(
      open(bench, pod, { kind: 'exec', container: 'nobody', command: ['true'], stdin: false, tty: false }),
      (error: InterlinkError) => error.code === 'PLUGIN_UNKNOWN_CONTAINER'
    )
  }),
  offered('attach', 'who attaches first to a container with stdinOnce has all of it', async (bench) => {
    const script = 'echo begin; cat; echo end >&2; exit 5'
    const pod = await bench.run({ containers: [bench.shell(script, { stdin: true, stdinOnce: true })] })
    await pod.running()
    const session = await open(bench, pod, { kind: 'attach', container: 'main', stdin: true, tty: false })
    session.input.end('middle\n')
    const { out, err } = await hear(session)
    equal(out, 'begin\nmiddle\n')
    equal(err, 'end\n')
    equal((await pod.ended()).containers[0]!.state!.terminated!.exitCode, 5)
  }),
  offered('attach', 'a container with a terminal is talked to, and lives on', async (bench) => {
    const script =
      'test -t 1 && echo on a terminal; while read -r word; do echo "<$word> $(stty size)"; done; sleep 1000'
    const pod = await bench.run({ containers: [bench.shell(script, { stdin: true, tty: true })] })
    await pod.said('on a terminal')
    for (const [word, columns, rows] of [
      ['one', 90, 30],
      ['two', 91, 31]
    ] as const) {
      const session = await open(bench, pod, { kind: 'attach', container: 'main', stdin: true, tty: true })
      const seen = watch(session)
      session.resize(columns, rows)
      // A runtime in front of the container hears of the size by a signal, after which it may still be on its way.
      await eventually(
        () => {
          session.input.write(`${word}\n`)
          return seen.shown.includes(`<${word}> ${rows} ${columns}`)
        },
        { everyMs: 500 }
      )
      session.destroy()
    }
    await pod.running()
  }),
  offered('portforward', 'a port is reached, each half of a connection has its own end', async (bench) => {
    const { pod, ask } = await served(bench, 'wc -c')
    const sizes = Array.from({ length: 10 }, (_, index) => index * 100_000)
    deepEqual(await Promise.all(sizes.map(ask)), sizes.map(String))
    await rejects(open(bench, pod, { kind: 'portforward', port: 1 }), (error: InterlinkError) => {
      equal(error.code, 'PLUGIN_PORT')
      return true
    })
  }),
  offered('portforward', 'a server that speaks first is heard from its first byte', async (bench) => {
    const { ask } = await served(bench, 'echo hello')
    for (let turn = 0; turn < 10; turn++) equal(await ask(0), 'hello')
  }),
  offered('ephemeral', 'a container joins a pod that runs, once, and is talked to', async (bench) => {
    const volumeMounts = [{ name: 'data', mountPath: '/mnt' }]
    const script = 'echo from main >/mnt/note; until [ -e /mnt/go ]; do sleep 0.2; done; exit 3'
    const pod = await bench.run({
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: 'data', emptyDir: {} }],
      containers: [bench.shell(script, { volumeMounts })]
    })
    await pod.running()
    const words = 'cat /mnt/note; while read -r word; do echo "<$word>"; done; exit 6'
    const debug = bench.shell(words, { name: 'debug', stdin: true, stdinOnce: true, volumeMounts })
    const spec = { ...pod.pod.spec, ephemeralContainers: [debug as unknown as Container] }
    const ask = { pod: { ...pod.pod, spec }, container: 'debug' }
    await Promise.all([bench.client.addEphemeral(ask), bench.client.addEphemeral(ask)])
    await pod.running('debug')
    const session = await open(bench, pod, { kind: 'attach', container: 'debug', stdin: true, tty: false })
    session.input.end('hello\n')
    equal((await hear(session)).out, 'from main\n<hello>\n')
    const isOver = (status: PodStatus) => of(status, 'debug').state?.terminated !== undefined
    const { state, restartCount } = of(await pod.until(isOver, 'ended (debug)'), 'debug')
    equal(state!.terminated!.exitCode, 6)
    equal(restartCount, 0)
    await bench.client.addEphemeral(ask)
    equal(await pod.log('debug'), 'from main\n<hello>\n')
    await hear(await exec(bench, pod, ['touch', '/mnt/go']))
    equal((await pod.ended()).containers[0]!.state!.terminated!.exitCode, 3)
  }),
  offered('ephemeral', 'a container that cannot join is refused by its field', async (bench) => {
    const pod = await idle(bench)
    const debug = bench.shell('true', { name: 'debug', targetContainerName: 'nobody' })
    const spec = { ...pod.pod.spec, ephemeralContainers: [debug as unknown as Container] }
    await rejects(
      bench.client.addEphemeral({ pod: { ...pod.pod, spec }, container: 'debug' }),
      (error: InterlinkError) => {
        equal(error.code, 'PLUGIN_REFUSED')
        equal(error.details.refusals?.[0]?.field, 'spec.ephemeralContainers[0].targetContainerName')
        return true
      }
    )
  })
]

/** A pod with a port on which each connection is served by a program of its own; `ask` sends so many bytes. */
async function served(bench: Workbench, program: string) {
  const port = await freePort()
  const serve = `command -v busybox >/dev/null || exit 127; exec busybox nc -ll -p ${port} -e ${program}`
  const pod = await bench.run({ containers: [bench.shell(serve)] })
  const ask = async (bytes: number) => {
    const session = await open(bench, pod, { kind: 'portforward', port })
    session.input.end(Buffer.alloc(bytes))
    return (await all(session.output)).toString().trim()
  }
  await eventually(
    async () => {
      const status = await pod.status()
      if (status?.containers[0]?.state?.terminated?.exitCode === 127)
        throw new Skipped('the image has no busybox')
      return (await ask(1)) !== ''
    },
    { unless: Skipped }
  )
  return { pod, ask }
}
