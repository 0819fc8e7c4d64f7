export { Channels, channel } from './channels.ts'
export { keepAlive } from './keep-alive.ts'
export {
  acceptWebSocket,
  routeUpgrades,
  subprotocolsOf,
  takeOver,
  upgradeOf,
  type Upgrade
} from './upgrades.ts'
