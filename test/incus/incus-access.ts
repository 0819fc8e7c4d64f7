import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { IncusLab } from '@interlink-ts/dev-cluster/incus'
import { skewedClock } from '../support/faketime.ts'
import { freePort } from '../support/free-port.ts'

/** Certificates of a client that a lab trusts, as `options.tls`; Incus takes none that is out of date. */
export async function trustedBy(lab: IncusLab, name: string, { seconds = 86_400 } = {}) {
  const file = (kind: string) => join(lab.dir, `${name}.${kind}`)
  const [certFile, keyFile, caFile] = [file('crt'), file('key'), file('server.crt')]
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const days = ['-days', '1', '-subj', `/CN=${name}`, '-keyout', keyFile, '-out', certFile]
  const env = seconds === 86_400 ? process.env : { ...process.env, ...skewedClock(seconds - 86_400) }
  execFileSync('openssl', [...request, ...days], { stdio: 'pipe', env })
  await writeFile(caFile, lab.certificate)
  if (seconds > 0) await lab.run('config', 'trust', 'add-certificate', certFile)
  return { certFile, keyFile, caFile }
}

/** A way to a port of this machine that can be cut, with all that goes over it. */
export async function startWay(t: Test, to: number) {
  const port = await freePort()
  const open = new Set<Socket>()
  let server: Server | undefined
  const restore = () =>
    new Promise<void>((resolve) => {
      server = createServer((socket) => {
        const far = connect(to, '127.0.0.1')
        for (const [one, other] of [
          [socket, far],
          [far, socket]
        ] as const) {
          open.add(one)
          one.on('error', () => {}).on('close', () => open.delete(one) && other.destroy())
          one.pipe(other)
        }
      }).listen(port, '127.0.0.1', resolve)
    })
  const cut = () => {
    server?.close()
    for (const socket of open) socket.destroy()
  }
  t.teardown(cut)
  await restore()
  return { url: `https://127.0.0.1:${port}`, cut, restore }
}
