export * from './kube.ts'
export * from './messages.ts'
