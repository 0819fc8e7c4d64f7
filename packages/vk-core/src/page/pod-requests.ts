import { parseQuantity, toNumber, type Container, type Pod } from '@interlink-ts/interlink-api/wire'

type Amounts = Record<string, number>

/**
 * What the scheduler counts for a pod: the containers and sidecars together, or the largest init container with the
 * sidecars started before it, whichever is more.
 */
export function podRequests({ spec }: Pod): Amounts {
  const sidecars: Amounts = {}
  const starting: Amounts = {}
  for (const container of spec?.initContainers ?? []) {
    const asked = requests(container)
    if (container.restartPolicy === 'Always') add(sidecars, asked)
    else
      for (const [name, amount] of Object.entries(asked))
        raise(starting, name, amount + (sidecars[name] ?? 0))
  }
  const total = { ...sidecars }
  for (const container of spec?.containers ?? []) add(total, requests(container))
  for (const [name, amount] of Object.entries(starting)) raise(total, name, amount)
  return total
}

/** A limit without a request is the request. */
function requests({ resources }: Container): Amounts {
  const amounts: Amounts = {}
  for (const [name, quantity] of Object.entries({ ...resources?.limits, ...resources?.requests }))
    amounts[name] = toNumber(parseQuantity(quantity) ?? 0n)
  return amounts
}

function add(sum: Amounts, amounts: Amounts): void {
  for (const [name, amount] of Object.entries(amounts)) sum[name] = (sum[name] ?? 0) + amount
}

function raise(sum: Amounts, name: string, amount: number): void {
  sum[name] = Math.max(sum[name] ?? 0, amount)
}
