export { eventually, type EventuallyOptions } from '@interlink-ts/dev-cluster/support'
