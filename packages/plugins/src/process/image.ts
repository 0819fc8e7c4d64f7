import { access, constants, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Refusal } from '../kit/plan/plan.ts'
import type { Machine } from './machine.ts'
import type { ProcessOptions } from './options.ts'

/** How an image is run here. */
export type Runtime =
  | { readonly kind: 'host' }
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'apptainer'; readonly tool: string; readonly image: string }
  | { readonly kind: 'podman'; readonly tool: string; readonly image: string }

const schemes = /^(docker|oras|library|shub|docker-archive|oci|oci-archive|docker-daemon):/

/**
 * `host` is this machine; an absolute path is an unpacked image (a directory) or a `.sif`; anything else is a
 * reference for a registry.
 */
export async function chooseRuntime(
  image: string,
  field: string,
  machine: Machine,
  options: ProcessOptions
): Promise<Runtime | Refusal> {
  if (image === 'host') return { kind: 'host' }
  const { apptainer, podman } = machine
  if (!image.startsWith('/')) {
    if (apptainer)
      return { kind: 'apptainer', tool: apptainer, image: schemes.test(image) ? image : `docker://${image}` }
    if (podman)
      return { kind: 'podman', tool: podman, image: wholeReference(image.replace(/^docker:\/\//, '')) }
    return refusal(
      field,
      `image ${image} needs Apptainer or Podman, and this machine has neither; install one of them, or use image host`
    )
  }
  const { directories } = options.images
  if (directories.length > 0 && !directories.some((dir) => image === dir || image.startsWith(`${dir}/`)))
    return refusal(
      field,
      `image ${image} is outside of ${directories.join(', ')}; put it there, or add its directory to options.images.directories`
    )
  if (image.split('/').includes('..')) return refusal(field, 'an image path has no ".."; correct it')
  const found = await stat(image).catch(() => undefined)
  if (found?.isDirectory()) {
    const usr = await Promise.any(
      ['usr', 'bin', 'etc'].map((part) => access(join(image, part), constants.R_OK))
    ).then(
      () => true,
      () => false
    )
    if (!usr)
      return refusal(
        field,
        `image ${image} is a directory, but no unpacked image: it has neither usr, bin nor etc`
      )
    if (machine.namespaces && machine.overlay) return { kind: 'directory', path: image }
    if (apptainer) return { kind: 'apptainer', tool: apptainer, image }
    return refusal(
      field,
      `image ${image} needs mount namespaces with overlay, which this machine does not give this account (${machine.why ?? 'overlay cannot be mounted'}); install Apptainer`
    )
  }
  if (apptainer) {
    if (!found) return refusal(field, `image ${image} is not there`)
    return { kind: 'apptainer', tool: apptainer, image }
  }
  if (image.endsWith('.sif') || found)
    return refusal(
      field,
      `image ${image} needs Apptainer, and this machine has none; install it, or use image host`
    )
  return refusal(field, `image ${image} is not there`)
}

/** A name without a registry is one of Docker Hub, as a kubelet has it; Podman would look elsewhere. */
function wholeReference(image: string): string {
  const [first = '', ...rest] = image.split('/')
  if (rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')) return image
  return `docker.io/${rest.length > 0 ? '' : 'library/'}${image}`
}

const refusal = (field: string, message: string): Refusal => ({ field, message })
