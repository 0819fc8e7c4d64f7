import type { Card } from '../card.ts'
import { fpgaModel } from './sysfs.ts'

interface XbutilReport {
  readonly system?: {
    readonly host?: {
      readonly xrt?: { readonly version?: string }
      readonly devices?: readonly {
        readonly bdf?: string
        readonly vbnv?: string
        readonly instance?: string
        readonly is_ready?: string | boolean
      }[]
    }
  }
  /** With `-d` and `-r platform`. */
  readonly devices?: readonly {
    readonly device_id?: string
    readonly platforms?: readonly {
      readonly controller?: { readonly card_mgmt_controller?: { readonly serial_number?: string } }
    }[]
  }[]
}

/**
 * The FPGAs of `xbutil examine -f JSON`. Two cards of one shell have the same logic UUID, so a card is known by its
 * serial number, or else by where it is. Cards that are not ready are told as notices. Whether kernels of one xclbin
 * may have several users is the site's to say, in the inventory.
 * @throws SyntaxError where it is no JSON
 */
export function xbutilCards(json: string, host: string): { cards: Card[]; notices: string[] } {
  const { system, devices = [] } = JSON.parse(json) as XbutilReport
  const xrt = system?.host?.xrt?.version
  const notices: string[] = []
  const cards = (system?.host?.devices ?? []).flatMap(({ bdf, vbnv, instance, is_ready: ready }): Card[] => {
    if (!bdf || !vbnv) return []
    if (String(ready ?? 'true') !== 'true') {
      notices.push(`${bdf}: ${vbnv} is not ready; see xbutil examine -d ${bdf}`)
      return []
    }
    const detail = devices.find(({ device_id: id }) => id === bdf)
    const serial = detail?.platforms?.[0]?.controller?.card_mgmt_controller?.serial_number
    const render = /inst=(\d+)/.exec(instance ?? '')?.[1]
    const user = bdf.toLowerCase()
    return [
      {
        id: serial && serial !== 'N/A' ? serial : `${host}/${user}`,
        host,
        vendor: 'xilinx.com',
        model: fpgaModel(vbnv),
        pci: user,
        ...(serial && serial !== 'N/A' ? { serial } : {}),
        labels: { 'interlink.io/fpga-shell': vbnv, ...(xrt ? { 'interlink.io/xrt': xrt } : {}) },
        paths: render ? [`/dev/dri/renderD${render}`] : [],
        sharing: {
          type: 'fpga',
          shell: vbnv,
          user,
          management: user.replace(/\.\d$/, '.0'),
          ...(render ? { renderNode: `/dev/dri/renderD${render}` } : {}),
          ...(xrt ? { xrt } : {})
        }
      }
    ]
  })
  return { cards, notices }
}
