/** As much of XML as `nvidia-smi -q -x` writes: elements, attributes, text; no namespaces, no CDATA. */
export interface XmlElement {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly XmlElement[]
  readonly text: string
}

const token = /<(\?|!)[^>]*>|<(\/?)([\w:.-]+)((?:\s+[\w:.-]+="[^"]*")*)\s*(\/?)>|([^<]+)/y

/** @throws SyntaxError where it is none, or is cut off */
export function parseXml(source: string): XmlElement {
  const root: Open = { name: '', attributes: {}, children: [], text: '' }
  const path = [root]
  token.lastIndex = 0
  while (token.lastIndex < source.length) {
    const at = token.lastIndex
    const found = token.exec(source)
    if (!found) throw new SyntaxError(`no XML at character ${at}`)
    const [, declaration, closing, name = '', attributes = '', empty, text] = found
    const inner = path.at(-1)!
    if (text !== undefined) inner.text += decode(text)
    else if (declaration === undefined && closing === '/') {
      if (path.length === 1 || inner.name !== name)
        throw new SyntaxError(`</${name}> at character ${at} ends nothing`)
      path.pop()
    } else if (declaration === undefined) {
      const element: Open = { name, attributes: attributesOf(attributes), children: [], text: '' }
      inner.children.push(element)
      if (empty !== '/') path.push(element)
    }
  }
  if (path.length > 1) throw new SyntaxError(`<${path.at(-1)!.name}> has no end: the output is cut off`)
  const [top] = root.children
  if (!top) throw new SyntaxError('there is no element')
  return top
}

interface Open extends XmlElement {
  readonly children: XmlElement[]
  text: string
}

const attributesOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    [...text.matchAll(/([\w:.-]+)="([^"]*)"/g)].map(([, name, value]) => [name!, decode(value!)])
  )

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const decode = (text: string): string =>
  text.replace(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole)

/** The text of an element below, by the names on the way; undefined where there is none, or it says N/A. */
export function textAt(element: XmlElement, ...path: readonly string[]): string | undefined {
  const found = path.reduce<XmlElement | undefined>(
    (at, name) => at?.children.find((child) => child.name === name),
    element
  )
  const text = found?.text.trim()
  return text === undefined || text === '' || text === 'N/A' || text === '[N/A]' ? undefined : text
}

export const childrenOf = (element: XmlElement, ...path: readonly string[]): readonly XmlElement[] =>
  path.reduce<readonly XmlElement[]>(
    (at, name) => at.flatMap(({ children }) => children.filter((child) => child.name === name)),
    [element]
  )
