import { InterlinkError } from '../errors.ts'
import { encodeRetrieved } from '../wire/encode.ts'
import type { RetrievedPodData } from '../wire/messages.ts'
import type { ApiConfig } from './config.ts'

const maxScript = 4 * 1024 * 1024

/**
 * The job's script, from the builder that the node names. Only where the configuration has `jobScriptBuild`: that is
 * the admin's word that scripts from elsewhere are run here.
 */
export async function fetchJobScript(
  url: string,
  data: RetrievedPodData,
  { jobScriptBuild, pluginTimeoutSeconds }: ApiConfig
): Promise<string> {
  if (!jobScriptBuild) throw new InterlinkError('IL_JOB_SCRIPT_NOT_CONFIGURED')
  const failed = (reason: string, cause?: unknown) =>
    new InterlinkError('IL_JOB_SCRIPT_FAILED', { reason }, cause)
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new InterlinkError('IL_INVALID_MESSAGE', {
      field: 'jobscriptURL',
      expected: 'an http or https URL',
      found: 'a string'
    })
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(encodeRetrieved(data)),
    signal: AbortSignal.timeout(pluginTimeoutSeconds * 1000)
  }).catch((error: unknown) => {
    throw failed('it cannot be reached', error)
  })
  const script = await response.text().catch((error: unknown) => {
    throw failed('its answer broke off', error)
  })
  if (!response.ok) throw failed(`it answered ${response.status}`)
  if (script.length > maxScript) throw failed(`its script is over ${maxScript} characters`)
  return script
}
