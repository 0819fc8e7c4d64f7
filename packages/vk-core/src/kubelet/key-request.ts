/** Keys, requests and self-signed certificates for the kubelet port. Loads the X.509 library only when first needed. */
import type { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'

export interface Identity {
  readonly nodeName: string
  /** IP addresses and DNS names under which the port is reached. */
  readonly hosts: readonly string[]
}

export interface KeyPair {
  readonly cert: string
  readonly key: string
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const day = 24 * 3600_000

const subject = ({ nodeName }: Identity) => `CN=system:node:${nodeName}, O=system:nodes`

const load = () => import('@peculiar/x509')
type X509 = Awaited<ReturnType<typeof load>>

const alternativeNames = (x509: X509, { hosts }: Identity) =>
  new x509.SubjectAlternativeNameExtension(
    hosts.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }))
  )

/** A new key and the PEM of a request for it, as the signer `kubernetes.io/kubelet-serving` wants it. */
export async function createKeyRequest(identity: Identity): Promise<{ key: string; request: string }> {
  const x509 = await load()
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: subject(identity),
      keys,
      signingAlgorithm: algorithm,
      extensions: [alternativeNames(x509, identity)]
    },
    crypto
  )
  return { key: await exportKey(keys.privateKey), request: request.toString('pem') }
}

/** Valid for a year. */
export async function createSelfSigned(identity: Identity, now = Date.now()): Promise<KeyPair> {
  const x509 = await load()
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: subject(identity),
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(now - 3600_000),
      notAfter: new Date(now + 365 * day),
      extensions: [
        alternativeNames(x509, identity),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true)
      ]
    },
    crypto
  )
  return { cert: certificate.toString('pem'), key: await exportKey(keys.privateKey) }
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{1,64}/g, '$&\n')}-----END PRIVATE KEY-----\n`
}
