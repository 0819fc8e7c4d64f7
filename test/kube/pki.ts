import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const profiles = `
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, IP:10.96.0.1, DNS:localhost, DNS:kubernetes, DNS:kubernetes.default, DNS:kubernetes.default.svc
[client]
extendedKeyUsage = clientAuth
`

/** A client identity as the API server reads it from a certificate. */
export interface Identity {
  user: string
  groups?: readonly string[]
}

/** Issues the certificates of one test control plane into a directory, as NAME.crt and NAME.key (0600). */
export class Pki {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Everything that kube-apiserver and its clients need: two authorities, the certificates below them, the token key. */
  async create(clients: Readonly<Record<string, Identity>>): Promise<void> {
    await writeFile(join(this.#directory, 'openssl.cnf'), profiles)
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' }
    })
    await Promise.all([
      writeFile(join(this.#directory, 'service-account.key'), privateKey, { mode: 0o600 }),
      writeFile(join(this.#directory, 'service-account.pub'), publicKey),
      this.#issue('ca', 'authority', { user: 'ca' }),
      this.#issue('front-ca', 'authority', { user: 'front-ca' })
    ])
    await Promise.all([
      this.#issue('apiserver', 'server', { user: 'kube-apiserver' }, 'ca'),
      this.#issue('front', 'client', { user: 'front-proxy' }, 'front-ca'),
      ...Object.entries(clients).map(([name, identity]) => this.client(name, identity))
    ])
  }

  client(name: string, identity: Identity): Promise<void> {
    return this.#issue(name, 'client', identity, 'ca')
  }

  read(file: string): Promise<string> {
    return readFile(join(this.#directory, file), 'utf8')
  }

  async #issue(
    name: string,
    profile: 'authority' | 'server' | 'client',
    { user, groups = [] }: Identity,
    authority?: string
  ): Promise<void> {
    const subject = [...groups.map((group) => `/O=${group}`), `/CN=${user}`].join('')
    const signer = authority ? ['-CA', `${authority}.crt`, '-CAkey', `${authority}.key`] : []
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`]
    await run(
      'openssl',
      [
        'req',
        '-x509',
        '-config',
        'openssl.cnf',
        '-extensions',
        profile,
        '-days',
        '30',
        '-subj',
        subject
      ].concat(key, ['-out', `${name}.crt`], signer),
      { cwd: this.#directory }
    )
  }
}

/** A kubeconfig in JSON (which is YAML), with the certificates inside. */
export async function kubeconfig(pki: Pki, server: string, name: string): Promise<string> {
  const data = async (file: string) => Buffer.from(await pki.read(file)).toString('base64')
  const [ca, certificate, key] = await Promise.all([data('ca.crt'), data(`${name}.crt`), data(`${name}.key`)])
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': ca } }],
    users: [{ name, user: { 'client-certificate-data': certificate, 'client-key-data': key } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: name } }]
  })
}
