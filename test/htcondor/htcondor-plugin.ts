import { htcondorBackend } from '@interlink-ts/plugins/htcondor'
import { clustersOf } from '../support/backend-cluster.ts'
import { pluginsOf } from '../support/plugin.ts'

export const startHtcondorPlugin = pluginsOf(htcondorBackend)
export const startHtcondorCluster = clustersOf(htcondorBackend)
