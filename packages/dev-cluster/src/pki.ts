/** The cluster's own certificate authority, which lives as long as the cluster. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

const crypto = webcrypto
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const year = 365 * 24 * 3600 * 1000

/** PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface Pki {
  /** PEM. */
  readonly ca: string
  /** The API server's own serving certificate, for loopback. */
  readonly server: KeyPair
  /** The certificate by which the API server shows itself to kubelet ports. */
  readonly client: KeyPair
  /** Signs a PEM request for the usages of its signer; PEM. */
  sign(request: string, usages: 'server' | 'client', seconds?: number): Promise<string>
}

export async function createPki(host: string): Promise<Pki> {
  x509.cryptoProvider.set(crypto)
  const keys = (await crypto.subtle.generateKey(algorithm, true, [
    'sign',
    'verify'
  ])) as webcrypto.CryptoKeyPair
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=dev-cluster',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + year),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true)
    ]
  })
  const issue = (
    subject: string,
    publicKey: webcrypto.CryptoKey | x509.PublicKey,
    usage: x509.ExtendedKeyUsage,
    names: x509.Extension[],
    ms: number
  ) =>
    x509.X509CertificateGenerator.create({
      subject,
      issuer: authority.subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + ms),
      signingKey: keys.privateKey,
      publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
          true
        ),
        new x509.ExtendedKeyUsageExtension([usage]),
        ...names
      ]
    })
  const pair = async (
    subject: string,
    usage: x509.ExtendedKeyUsage,
    names: x509.Extension[]
  ): Promise<KeyPair> => {
    const own = (await crypto.subtle.generateKey(algorithm, true, [
      'sign',
      'verify'
    ])) as webcrypto.CryptoKeyPair
    const certificate = await issue(subject, own.publicKey, usage, names, year)
    const pkcs8 = await crypto.subtle.exportKey('pkcs8', own.privateKey)
    return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') }
  }
  const loopback = new x509.SubjectAlternativeNameExtension([
    ...['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map((value) => ({
      type: 'dns' as const,
      value
    })),
    { type: 'ip', value: '127.0.0.1' },
    { type: 'ip', value: '::1' },
    { type: 'ip', value: host }
  ])
  return {
    ca: authority.toString('pem'),
    server: await pair('CN=kube-apiserver', x509.ExtendedKeyUsage.serverAuth, [loopback]),
    client: await pair(
      'O=system:masters, CN=kube-apiserver-kubelet-client',
      x509.ExtendedKeyUsage.clientAuth,
      []
    ),
    async sign(request, usages, seconds) {
      const asked = new x509.Pkcs10CertificateRequest(request)
      if (!(await asked.verify())) throw new Error('the signature of the request does not match its key')
      const names = asked.extensions.filter(
        (extension) => extension instanceof x509.SubjectAlternativeNameExtension
      )
      const usage = usages === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth
      const certificate = await issue(
        asked.subject,
        asked.publicKey,
        usage,
        names,
        seconds ? seconds * 1000 : year
      )
      return certificate.toString('pem')
    }
  }
}
