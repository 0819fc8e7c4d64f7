import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certificates {
  readonly dir: string
  /** Path of a file in the folder. */
  path(name: string): string
  read(name: string): string
}

/** An authority `ca`, a `server` for 127.0.0.1 and a `client` of it, and a `stranger` of nobody; each as .crt and .key. */
export function makeCertificates(): Certificates {
  const dir = mkdtempSync(join(tmpdir(), 'interlink-api-tls-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  const path = (name: string) => join(dir, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const own = (name: string) =>
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`
    )
  own('ca')
  own('stranger')
  writeFileSync(path('san.cnf'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  for (const name of ['server', 'client']) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-extfile',
      'san.cnf'
    )
  }
  return { dir, path, read: (name) => readFileSync(path(name), 'utf8') }
}
