const resolved = 'node: it sends the content; a file that is missing is refused'

/**
 * Pod fields that leave no trace in a plan because they are not the job's business, and why.
 * `*` stands for any index. Whatever is neither here nor read by the compiler is told as a notice.
 */
export const elsewhere: Readonly<Record<string, string>> = {
  'spec.affinity': 'scheduler',
  'spec.nodeSelector': 'scheduler',
  'spec.priority': 'scheduler',
  'spec.priorityClassName': 'scheduler',
  'spec.preemptionPolicy': 'scheduler',
  'spec.schedulerName': 'scheduler',
  'spec.schedulingGates': 'scheduler',
  'spec.schedulingGroup': 'scheduler',
  'spec.workloadRef': 'scheduler',
  'spec.tolerations': 'scheduler and taint eviction',
  'spec.topologySpreadConstraints': 'scheduler',
  'spec.automountServiceAccountToken': 'API server: it adds the token volume, or not',
  'spec.serviceAccount': 'node: it requests the token',
  'spec.serviceAccountName': 'node: it requests the token',
  'spec.enableServiceLinks': 'node: it adds the variables to env',
  'spec.readinessGates': "node: they are part of the pod's Ready condition",
  'spec.ephemeralContainers': 'each comes by a call of its own once the pod is there',
  'spec.dnsPolicy':
    'ClusterFirst is what the API server writes where nothing is asked; other values are told',
  'spec.securityContext.fsGroupChangePolicy': 'speaks of how fsGroup is applied, which is told',
  'spec.securityContext.supplementalGroupsPolicy': 'speaks of how groups are applied, which is told',
  'spec.securityContext.seLinuxChangePolicy': 'speaks of how SELinux labels are applied, which is told',
  'spec.containers.*.resizePolicy': 'node: a resize in place is answered there',
  'spec.containers.*.ports.*.containerPort': 'informative; probes and hooks that name the port are resolved',
  'spec.containers.*.ports.*.name': 'informative; probes and hooks that name the port are resolved',
  'spec.containers.*.ports.*.protocol': 'informative',
  'spec.volumes.*.downwardAPI.items.*.fieldRef': resolved,
  'spec.volumes.*.downwardAPI.items.*.resourceFieldRef': resolved,
  'spec.volumes.*.projected.sources.*.configMap.items.*.key': resolved,
  'spec.volumes.*.projected.sources.*.configMap.name': resolved,
  'spec.volumes.*.projected.sources.*.secret.items.*.key': resolved,
  'spec.volumes.*.projected.sources.*.secret.name': resolved,
  'spec.volumes.*.projected.sources.*.downwardAPI.items.*.fieldRef': resolved,
  'spec.volumes.*.projected.sources.*.downwardAPI.items.*.resourceFieldRef': resolved,
  'spec.volumes.*.projected.sources.*.serviceAccountToken.audience': resolved,
  'spec.volumes.*.projected.sources.*.serviceAccountToken.expirationSeconds': resolved,
  'spec.volumes.*.projected.sources.*.clusterTrustBundle.labelSelector': resolved,
  'spec.volumes.*.projected.sources.*.clusterTrustBundle.name': resolved,
  'spec.volumes.*.projected.sources.*.clusterTrustBundle.signerName': resolved,
  'spec.volumes.*.projected.sources.*.podCertificate.keyType': resolved,
  'spec.volumes.*.projected.sources.*.podCertificate.maxExpirationSeconds': resolved,
  'spec.volumes.*.projected.sources.*.podCertificate.signerName': resolved,
  'spec.volumes.*.projected.sources.*.podCertificate.userAnnotations': resolved
}
