/**
 * The kubelet port's certificate: the admin's files, else one signed by the cluster, else self-signed. A cluster's
 * certificate is asked for in the background and replaced when 80 % of its life is over; connections never stop.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import type { Logger } from 'pino'
import { followFiles } from '@interlink-ts/interlink-api/config'
import { isNotFound, type KubeClient } from '../kube/index.ts'
import { certificateFiles } from './certificate-files.ts'
import { createKeyRequest, createSelfSigned, type Identity, type KeyPair } from './key-request.ts'

export interface ServingCertificateOptions {
  readonly identity: Identity
  readonly kube: KubeClient
  readonly log: Logger
  /** PEM files of the admin's; they come before everything else and are read again when they change. */
  readonly files?: { readonly certFile: string; readonly keyFile: string }
  readonly csr: boolean
  readonly signer: string
  readonly stateDirectory?: string
  /** Milliseconds between two looks at a request or at the files. @default 5000 */
  readonly pollMs?: number
  readonly now?: () => number
}

export interface ServingCertificate {
  readonly current: KeyPair
  /** Called with every certificate that takes the place of the current one. */
  onChange(listener: (pair: KeyPair) => void): void
  close(): void
}

const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
/** After a denial, or a failure to ask. */
const askAgainMs = 10 * 60_000
const longestSleepMs = 24 * 3600_000

interface SigningRequest {
  readonly metadata: { readonly name: string }
  readonly status?: {
    readonly certificate?: string
    readonly conditions?: readonly { readonly type: string; readonly message?: string }[]
  }
}

export async function openServingCertificate(
  options: ServingCertificateOptions
): Promise<ServingCertificate> {
  const { identity, kube, log, files, now = Date.now, pollMs = 5_000 } = options
  const store = certificateFiles(options.stateDirectory, identity.nodeName)
  const closed = new AbortController()
  const listeners: ((pair: KeyPair) => void)[] = []
  const pause = (ms: number) => sleep(ms, undefined, { signal: closed.signal, ref: false })
  const adopt = (pair: KeyPair) => {
    current = pair
    for (const listener of listeners) listener(pair)
  }

  const kept = files || !options.csr ? undefined : await store.current()
  const usable = kept && isUsable(kept, identity, now()) ? kept : undefined
  let current: KeyPair = files
    ? await readFiles(files)
    : (usable ?? (await createSelfSigned(identity, now())))
  if (files) {
    const stop = await followFiles(
      [files.certFile, files.keyFile],
      async () => {
        adopt(await readFiles(files))
        log.info('serving certificate read again')
      },
      {
        everyMs: pollMs,
        onError: (err) => log.warn({ err }, 'serving certificate changed and cannot be used')
      }
    )
    closed.signal.addEventListener('abort', stop)
  } else if (options.csr) void keepSigned(usable).catch(() => undefined)

  async function keepSigned(signed: KeyPair | undefined): Promise<void> {
    for (let have = signed; ;) {
      if (have) await until(renewalTime(have))
      const fresh = await ask()
      if (!fresh) {
        await pause(askAgainMs)
        continue
      }
      have = fresh
      await store.save(fresh)
      adopt(fresh)
      log.info(
        { until: new X509Certificate(fresh.cert).validTo },
        'serving certificate signed by the cluster'
      )
    }
  }

  async function until(time: number): Promise<void> {
    for (let left = time - now(); left > 0; left = time - now()) await pause(Math.min(left, longestSleepMs))
  }

  /** Undefined after a denial, or where the cluster knows no such requests. */
  async function ask(): Promise<KeyPair | undefined> {
    try {
      const pending = (await store.pending()) ?? (await send())
      const certificate = await answer(pending.name)
      await store.savePending(undefined)
      if (!certificate) return undefined
      const pair = { cert: certificate, key: pending.key }
      if (isUsable(pair, identity, now())) return pair
      log.warn({ request: pending.name }, 'the signed certificate does not fit its key or its names')
    } catch (error) {
      closed.signal.throwIfAborted()
      if (isNotFound(error)) log.debug('the cluster signs no certificates')
      else log.warn({ err: error }, 'no serving certificate could be asked for')
    }
    return undefined
  }

  async function send() {
    const { key, request } = await createKeyRequest(identity)
    const { metadata } = await kube.create<SigningRequest>(requests, {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { generateName: `interlink-${identity.nodeName}-` },
      spec: {
        request: Buffer.from(request).toString('base64'),
        signerName: options.signer,
        usages: ['digital signature', 'server auth']
      }
    })
    const pending = { name: metadata.name, key }
    await store.savePending(pending)
    log.info(
      { request: pending.name },
      'serving certificate asked for; approve it with kubectl certificate approve'
    )
    return pending
  }

  async function answer(name: string): Promise<string | undefined> {
    for (;;) {
      try {
        const { status } = await kube.get<SigningRequest>(`${requests}/${name}`)
        if (status?.certificate) return Buffer.from(status.certificate, 'base64').toString('utf8')
        const refusal = status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed')
        if (refusal) {
          log.warn({ request: name, reason: refusal.message }, 'serving certificate refused')
          return undefined
        }
      } catch (error) {
        if (isNotFound(error)) {
          await store.savePending(undefined)
          throw error
        }
        log.debug({ err: error, request: name }, 'request could not be read')
      }
      await pause(pollMs)
    }
  }

  return {
    get current() {
      return current
    },
    onChange: (listener) => void listeners.push(listener),
    close: () => closed.abort()
  }
}

const readFiles = async (files: { certFile: string; keyFile: string }): Promise<KeyPair> => {
  const [cert, key] = await Promise.all([readFile(files.certFile, 'utf8'), readFile(files.keyFile, 'utf8')])
  // Throws where the one does not fit the other, as in the middle of a change.
  createSecureContext({ cert, key })
  return { cert, key }
}

/** Fits its key, has some life left, and names every address we are reached at. */
export function isUsable({ cert, key }: KeyPair, { hosts }: Identity, now: number): boolean {
  try {
    const certificate = new X509Certificate(cert)
    const names = certificate.subjectAltName ?? ''
    return (
      certificate.checkPrivateKey(createPrivateKey(key)) &&
      Date.parse(certificate.validTo) > now &&
      hosts.every((host) => names.includes(host))
    )
  } catch {
    return false
  }
}

/** When 80 % of its life is over. */
export function renewalTime({ cert }: KeyPair): number {
  const { validFrom, validTo } = new X509Certificate(cert)
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)]
  return from + 0.8 * (to - from)
}
