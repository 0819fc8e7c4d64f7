import type { ConfigMap, Secret } from '@interlink-ts/interlink-api/wire'

/** Keys of an object with their content as base64, text and binary alike. */
export function configMapEntries(object: ConfigMap): Map<string, string> {
  return new Map([...encoded(object.data), ...normalised(object.binaryData)])
}

/** Keys of a secret with their content as base64. */
export function secretEntries(object: Secret): Map<string, string> {
  return new Map([...normalised(object.data), ...encoded(object.stringData)])
}

function encoded(texts: Record<string, string> = {}): [string, string][] {
  return Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')])
}

function normalised(data: Record<string, string> = {}): [string, string][] {
  return Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('base64')])
}
