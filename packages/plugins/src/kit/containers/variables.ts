/** What a job says to the programs in front of a container; the site's preamble may set the latter ones. */
export const machineVariables: readonly string[] = [
  'INTERLINK_SCRATCH',
  'XDG_RUNTIME_DIR',
  ...['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()]),
  ...['NOHTTPS', 'USERNS'].flatMap((name) => [`APPTAINER_${name}`, `SINGULARITY_${name}`])
]

/** By which a batch system tells a job its devices. */
export const deviceVariables: readonly string[] = [
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'ROCR_VISIBLE_DEVICES',
  'HIP_VISIBLE_DEVICES',
  'ZE_AFFINITY_MASK',
  'GPU_DEVICE_ORDINAL'
]
