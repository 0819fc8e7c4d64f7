/** Thrown by a backend that has started nothing, as a card that was lent cannot be given: another one may do. */
export class DeviceMissing extends Error {
  override readonly name = 'DeviceMissing'
  readonly card: string

  constructor(card: string, reason: string) {
    super(`card ${card}: ${reason}`)
    this.card = card
  }
}
