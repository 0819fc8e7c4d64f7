import type { BoundDevice } from './binding.ts'

/** Every variable that {@link deviceEnvironment} may set. */
export const deviceVariables: ReadonlySet<string> = new Set([
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'ROCR_VISIBLE_DEVICES',
  'CUDA_MPS_PIPE_DIRECTORY',
  'CUDA_MPS_PINNED_DEVICE_MEM_LIMIT',
  'CUDA_MPS_ACTIVE_THREAD_PERCENTAGE'
])

/** What makes programs use these devices and no others. */
export function deviceEnvironment(devices: readonly BoundDevice[]): Record<string, string> {
  const uuids = (vendor: string) =>
    [
      ...new Set(devices.flatMap((device) => (device.vendor === vendor && device.uuid ? [device.uuid] : [])))
    ].join()
  const nvidia = uuids('nvidia.com')
  const amd = uuids('amd.com')
  return {
    ...(nvidia === '' ? {} : { CUDA_VISIBLE_DEVICES: nvidia, NVIDIA_VISIBLE_DEVICES: nvidia }),
    ...(amd === '' ? {} : { ROCR_VISIBLE_DEVICES: amd }),
    ...mps(devices)
  }
}

/** Memory caps of the MPS server are by index among the visible devices; nvidia-cuda-mps-control(1). */
function mps(devices: readonly BoundDevice[]): Record<string, string> {
  const cards = [...new Map(devices.map((device) => [device.card, device])).values()]
  const served = cards.flatMap(({ timeslice }, index) =>
    timeslice?.mps ? [{ ...timeslice, mps: timeslice.mps, index }] : []
  )
  const [first] = served
  if (!first) return {}
  const caps = served.flatMap(({ memoryMiB, index }) => (memoryMiB ? [`${index}=${memoryMiB}M`] : []))
  const threads = first.mps.activeThreadPercentage
  return {
    CUDA_MPS_PIPE_DIRECTORY: first.mps.pipeDirectory,
    ...(caps.length > 0 ? { CUDA_MPS_PINNED_DEVICE_MEM_LIMIT: caps.join() } : {}),
    ...(threads === undefined ? {} : { CUDA_MPS_ACTIVE_THREAD_PERCENTAGE: String(threads) })
  }
}
