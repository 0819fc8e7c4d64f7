export { Channels, channel } from './channels.ts'
export { countStreams } from './count-streams.ts'
export { keepAlive } from './keep-alive.ts'
export { readSize, type TerminalSize } from './terminal-size.ts'
export {
  acceptWebSocket,
  routeUpgrades,
  subprotocolsOf,
  takeOver,
  upgradeOf,
  type Upgrade
} from './upgrades.ts'
