import type { Check } from '../kit/backend.ts'
import type { IncusOptions } from './options.ts'
import { whyNoMachines } from './server-machines.ts'
import { validityOf, type IncusConnection, type IncusTls } from './rest/index.ts'

interface Server {
  readonly auth: string
  readonly environment?: { readonly server_version?: string; readonly server_name?: string }
}

const trustFix = 'incus config trust add-certificate <options.tls.certFile>'

/** Whether the server is there, and lets this client in. */
export async function checkServer(
  incus: IncusConnection,
  { url }: Pick<IncusOptions, 'url'>,
  tls: IncusTls | undefined
): Promise<Check[]> {
  const own = tls ? [checkCertificate(tls)] : []
  try {
    const { auth, environment } = await incus.get<Server>('/1.0')
    // Whom it does not know is told no more than that it is there.
    const { server_version: version, server_name: name = url } = environment ?? {}
    const trusted = auth === 'trusted'
    const detail = trusted ? 'this client is trusted' : 'the server does not know this client'
    const why = trusted ? await whyNoMachines(incus) : undefined
    const machines = why === undefined ? 'it runs them' : `none: ${why}`
    return [
      { name: 'server', ok: true, detail: `Incus${version === undefined ? '' : ` ${version}`} on ${name}` },
      ...own,
      { name: 'trust', ok: trusted, detail, ...(trusted ? {} : { fix: trustFix }) },
      ...(trusted ? [{ name: 'virtual machines', ok: true, detail: machines }] : [])
    ]
  } catch (error) {
    const { message: detail } = error as Error
    const fix = /certificate/i.test(detail)
      ? "options.tls.caFile: the server's own certificate, or that of who signed it"
      : 'set options.url to where the Incus server listens'
    return [{ name: 'server', ok: false, detail, fix }, ...own]
  }
}

/** Incus knows nobody by a certificate that is out of date, and says no more than that. */
function checkCertificate(tls: IncusTls): Check {
  const { validFrom, validTo, isValid: ok } = validityOf(tls)
  return {
    name: 'certificate',
    ok,
    detail: `of this client, from ${validFrom} to ${validTo}`,
    ...(ok
      ? {}
      : { fix: `make a new options.tls.certFile, then ${trustFix}; a plugin that runs reads it by itself` })
  }
}
