import { createReflector, type KubeClient, type KubeObject, type Log } from '../kube/index.ts'

interface ConfigMapObject extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

export interface ClientCa {
  /** PEM of the authority that signs the API server's client certificates; undefined while it is not known. */
  readonly pem: string | undefined
  /** Resolves once the cluster was asked. */
  readonly ready: Promise<void>
  stop(): Promise<void>
}

/** Follows the ConfigMap in which the API server publishes its client CA, for as long as the port is open. */
export function followClientCa(client: KubeClient, log: Log, onChange: () => void): ClientCa {
  let pem: string | undefined
  const reflector = createReflector<ConfigMapObject>({
    client,
    path: '/api/v1/namespaces/kube-system/configmaps',
    query: { fieldSelector: 'metadata.name=extension-apiserver-authentication' },
    log,
    onChange: ({ type, object }) => {
      pem = type === 'deleted' ? undefined : object.data?.['client-ca-file']
      onChange()
    }
  })
  reflector.start()
  return {
    get pem() {
      return pem
    },
    ready: reflector.synced,
    stop: () => reflector.stop()
  }
}
