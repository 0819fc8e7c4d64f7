/** Loads the X.509 library only when a certificate is made. */
import { webcrypto } from 'node:crypto'

const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } as const
const day = 24 * 3600_000

export interface KeyPair {
  /** PEM. */
  readonly cert: string
  /** PEM, PKCS #8, without a passphrase. */
  readonly key: string
}

/** A self-signed certificate of a client, as Incus takes them. @param days of validity */
export async function createClientCertificate(
  commonName: string,
  { days = 3650, organisation = 'interlink lab' } = {}
): Promise<KeyPair> {
  const x509 = await import('@peculiar/x509')
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const now = Date.now()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [commonName] }, { O: [organisation] }],
      keys: keys as never,
      signingAlgorithm: algorithm,
      notBefore: new Date(now - 3600_000),
      notAfter: new Date(now + days * day),
      extensions: [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true)
      ]
    },
    webcrypto as never
  )
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const lines = pkcs8.match(/.{1,64}/g)!.join('\n')
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
  }
}
