export const parts = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const

/** A process of the control plane. */
export type Part = (typeof parts)[number]

export interface Ports {
  etcdPort: number
  peerPort: number
  apiPort: number
}

/** Command line of one part; file names are relative to the control plane's directory, its working directory. */
export function flagsOf(part: Part, { etcdPort, peerPort, apiPort }: Ports): string[] {
  const etcd = `http://127.0.0.1:${etcdPort}`
  const peer = `http://127.0.0.1:${peerPort}`
  switch (part) {
    case 'etcd':
      return [
        '--data-dir=etcd',
        `--listen-client-urls=${etcd}`,
        `--advertise-client-urls=${etcd}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=default=${peer}`,
        '--quota-backend-bytes=4294967296',
        '--unsafe-no-fsync',
        '--log-level=warn'
      ]
    case 'kube-apiserver':
      return [
        `--etcd-servers=${etcd}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${apiPort}`,
        '--tls-cert-file=apiserver.crt',
        '--tls-private-key-file=apiserver.key',
        '--client-ca-file=ca.crt',
        '--cert-dir=certs',
        '--authorization-mode=Node,RBAC',
        '--enable-admission-plugins=NodeRestriction',
        '--allow-privileged',
        '--service-account-issuer=https://kubernetes.default.svc',
        '--service-account-key-file=service-account.pub',
        '--service-account-signing-key-file=service-account.key',
        '--service-cluster-ip-range=10.96.0.0/16',
        // The default reconciler refuses 127.0.0.1 as the API's own endpoint.
        '--endpoint-reconciler-type=none',
        '--kubelet-client-certificate=kubelet-client.crt',
        '--kubelet-client-key=kubelet-client.key',
        '--kubelet-preferred-address-types=InternalIP',
        '--requestheader-client-ca-file=front-ca.crt',
        '--requestheader-allowed-names=front-proxy',
        '--requestheader-username-headers=X-Remote-User',
        '--requestheader-group-headers=X-Remote-Group',
        '--requestheader-extra-headers-prefix=X-Remote-Extra-',
        '--proxy-client-cert-file=front.crt',
        '--proxy-client-key-file=front.key',
        '--enable-aggregator-routing'
      ]
    case 'kube-controller-manager':
      return [
        ...clientFlags('controller-manager'),
        '--use-service-account-credentials',
        '--service-account-private-key-file=service-account.key',
        '--root-ca-file=ca.crt',
        '--cluster-signing-cert-file=ca.crt',
        '--cluster-signing-key-file=ca.key'
      ]
    case 'kube-scheduler':
      return clientFlags('scheduler')
  }
}

const clientFlags = (name: string): string[] => [
  `--kubeconfig=${name}.kubeconfig`,
  `--authentication-kubeconfig=${name}.kubeconfig`,
  `--authorization-kubeconfig=${name}.kubeconfig`,
  '--leader-elect=false',
  // Nobody asks for their health or metrics, and so they need no port.
  '--secure-port=0'
]
