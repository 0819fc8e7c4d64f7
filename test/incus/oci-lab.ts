import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { IncusLab } from '@interlink-ts/dev-cluster/incus'
import { registryMissing, startRegistry, type Registry } from '../support/registry.ts'
import { secondIncusMissing, startSecondIncus } from './second-incus.ts'

const call = promisify(execFile)

/** A private Incus 7.0 beside a registry that it trusts. */
export interface OciLab<R extends Registry = Registry> {
  readonly lab: IncusLab
  readonly registry: R
  /** What images are made of: the lab's busybox. */
  readonly root: string
  /** Of the backend. */
  readonly options: { readonly remotes: object }
  close(): Promise<void>
}

export const ociLabMissing = (): string | undefined => secondIncusMissing() ?? registryMissing()

export const startOciLab = (): Promise<OciLab> => ociLabOf(startRegistry({ open: true, tls: true }))

/** With a registry that speaks TLS. */
export async function ociLabOf<R extends Registry>(starting: Promise<R>): Promise<OciLab<R>> {
  const registry = await starting
  const close = async () => {
    await lab?.close()
    await registry.close()
  }
  let lab: IncusLab | undefined
  try {
    lab = await startSecondIncus({ authorities: registry.caFile! })
    const tree = join(lab.dir, 'oci')
    await mkdir(tree)
    await call('tar', ['-xzf', join(lab.dir, 'busybox.tar.gz'), '-C', tree])
    const remotes = { lab: { url: `https://${registry.host}`, protocol: 'oci' } }
    return { lab, registry, root: join(tree, 'rootfs'), options: { remotes }, close }
  } catch (error) {
    await close()
    throw error
  }
}
