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
  'spec.ephemeralContainers': 'the API server adds them to running pods only',
  'spec.dnsPolicy':
    'ClusterFirst is what the API server writes where nothing is asked; other values are told',
  'spec.securityContext.fsGroupChangePolicy': 'speaks of how fsGroup is applied, which is told',
  'spec.securityContext.supplementalGroupsPolicy': 'speaks of how groups are applied, which is told',
  'spec.securityContext.seLinuxChangePolicy': 'speaks of how SELinux labels are applied, which is told',
  'spec.containers.*.resizePolicy': 'node: a resize in place is answered there',
  'spec.containers.*.ports.*.protocol': 'informative; named ports are resolved',
  'spec.containers.*.env.*.valueFrom': 'node: it resolves values; one that is left is refused'
}
