export {
  runAtEnd,
  signalGroup,
  spawnReaped,
  temporaryDirectory,
  type TemporaryDirectory
} from '@interlink-ts/dev-cluster/support'
