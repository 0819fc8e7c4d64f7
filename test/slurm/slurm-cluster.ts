import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { clustersOf, type BackendCluster } from '../support/backend-cluster.ts'

export * from '../support/backend-cluster.ts'
export type SlurmCluster = BackendCluster
export const startSlurmCluster = clustersOf(slurmBackend)
