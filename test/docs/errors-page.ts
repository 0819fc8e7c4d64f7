import { errorTable as wire } from '@interlink-ts/interlink-api/errors'
import { errorTable as plugins } from '@interlink-ts/plugins/errors'
import { errorTable as node } from '@interlink-ts/vk-core/errors'

interface Entry {
  readonly status: number
  readonly message: string
  readonly retry: boolean | string
}

const retries: Readonly<Record<string, string>> = {
  true: 'yes',
  yes: 'yes',
  'unknown-outcome': 'ask first',
  false: 'no',
  no: 'no'
}

const table = (title: string, entries: Readonly<Record<string, Entry>>): string =>
  [
    `## ${title}`,
    '',
    '| code | HTTP status | message | retry |',
    '| --- | --- | --- | --- |',
    ...Object.entries(entries).map(
      ([code, { status, message, retry }]) =>
        `| \`${code}\` | ${status} | ${message.replaceAll('|', '\\|').replaceAll('<', '&lt;')} | ${retries[String(retry)]} |`
    ),
    ''
  ].join('\n')

/** docs/reference/errors.md, made from the error tables of the packages. */
export const errorsPage = (): string =>
  [
    '# Errors',
    '',
    'Made from the error tables by `npm run docs`; do not edit. A word in braces stands for a detail. *Retry* says whether the same call may be made again: *ask first* means that it may have taken effect.',
    '',
    'Every error of the API server and of a plugin is JSON: `{"code","message","session","retry"}`, with `plugin` (its name, status and body) when a plugin said it and `refusals` (field and message) when a pod was refused. The kubelet port answers with a `metav1.Status`.',
    '',
    table('API server and client (`IL_`)', wire),
    table('Plugins (`PLUGIN_`)', plugins),
    table('Virtual node (`VK_`)', node)
  ].join('\n')
