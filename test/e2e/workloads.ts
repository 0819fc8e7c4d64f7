import type { Pod } from '@interlink-ts/interlink-api/wire'

/** What every pod needs to run on a virtual node. */
export const onVirtualNode = {
  nodeSelector: { 'virtual-node.interlink/type': 'virtual-kubelet' },
  tolerations: [{ key: 'virtual-node.interlink/no-schedule', operator: 'Exists' }]
}

export interface ShellPod {
  readonly name: string
  readonly script: string
  readonly spec?: Record<string, unknown>
  readonly container?: Record<string, unknown>
  readonly metadata?: Record<string, unknown>
}

/** A pod of one container that runs a shell script on the file system of the backend's own machine. */
export const shellPod = ({ name, script, spec, container, metadata }: ShellPod): Pod =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', ...metadata },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      ...onVirtualNode,
      containers: [{ name: 'main', image: 'host', command: ['/bin/sh', '-c', script], ...container }],
      ...spec
    }
  }) as Pod
