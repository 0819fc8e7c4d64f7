export { freePort, freePorts } from '@interlink-ts/dev-cluster/support'
