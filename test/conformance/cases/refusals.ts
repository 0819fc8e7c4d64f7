import { deepEqual, match, ok } from 'node:assert/strict'
import type { ErrorBody } from '@interlink-ts/interlink-api/wire'
import type { Case } from '../run-cases.ts'
import type { Spec } from '../workbench.ts'

const privileged = (more: Spec): Spec => ({ securityContext: more })

/** What no backend may take, and the field that is to be named. */
const impossible: readonly (readonly [what: string, field: string, container: Spec, spec: Spec])[] = [
  [
    'a privileged container',
    'spec.containers[0].securityContext.privileged',
    privileged({ privileged: true }),
    {}
  ],
  [
    'an added capability',
    'spec.containers[0].securityContext.capabilities.add',
    privileged({ capabilities: { add: ['SYS_ADMIN'] } }),
    {}
  ],
  ['the machine’s processes', 'spec.hostPID', {}, { hostPID: true }],
  ['the machine’s IPC', 'spec.hostIPC', {}, { hostIPC: true }],
  [
    'a kernel parameter',
    'spec.securityContext.sysctls[0]',
    {},
    { securityContext: { sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }] } }
  ],
  [
    'a host path that is not open',
    'spec.volumes[0].hostPath.path',
    { volumeMounts: [{ name: 'h', mountPath: '/h' }] },
    { volumes: [{ name: 'h', hostPath: { path: '/root' } }] }
  ],
  [
    'a volume claim',
    'spec.volumes[0].persistentVolumeClaim',
    { volumeMounts: [{ name: 'p', mountPath: '/p' }] },
    { volumes: [{ name: 'p', persistentVolumeClaim: { claimName: 'data' } }] }
  ],
  [
    'a mount path that leaves the container',
    'spec.containers[0].volumeMounts[0].mountPath',
    { volumeMounts: [{ name: 'e', mountPath: '/a/../../b' }] },
    { volumes: [{ name: 'e', emptyDir: {} }] }
  ],
  [
    'a subPath that leaves the volume',
    'spec.containers[0].volumeMounts[0].subPath',
    { volumeMounts: [{ name: 'e', mountPath: '/e', subPath: '../x' }] },
    { volumes: [{ name: 'e', emptyDir: {} }] }
  ]
]

export const refusals: readonly Case[] = [
  {
    name: 'what cannot be honoured is refused, each by the path of its field and in words',
    async run({ refusal, shell }) {
      for (const [what, field, container, spec] of impossible) {
        const error = await refusal({ ...spec, containers: [shell('true', container)] })
        const named = (error.details.refusals ?? []) as NonNullable<ErrorBody['refusals']>
        ok(
          named.some((refused) => refused.field === field && refused.message.length > 10),
          `${what}: ${error.message}`
        )
        match(error.message, /spec\./)
        deepEqual([error.retry, error.status], ['no', 422])
      }
    }
  },
  {
    name: 'all refusals of a pod are told at once',
    async run({ refusal, shell }) {
      const error = await refusal({
        hostPID: true,
        hostIPC: true,
        containers: [shell('true', privileged({ privileged: true }))]
      })
      ok((error.details.refusals as unknown[]).length >= 3)
    }
  },
  {
    name: 'a NUL in an argument is refused',
    async run({ refusal, image }) {
      const error = await refusal({ containers: [{ name: 'main', image, command: ['echo', 'a\0b'] }] })
      match(error.message, /NUL/)
    }
  }
]
