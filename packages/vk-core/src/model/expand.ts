/**
 * `$(NAME)` becomes the variable's value, `$$` a dollar, and a reference to what is not defined stays as it is.
 * Source: k8s.io/kubernetes third_party/forked/golang/expansion.
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  let result = ''
  let rest = 0
  for (let at = text.indexOf('$'); at >= 0 && at + 1 < text.length; at = text.indexOf('$', rest)) {
    result += text.slice(rest, at)
    const next = text[at + 1]
    const end = next === '(' ? text.indexOf(')', at + 2) : -1
    if (end >= 0) {
      const name = text.slice(at + 2, end)
      result += lookup(name) ?? `$(${name})`
      rest = end + 1
    } else {
      result += next === '$' ? '$' : `$${next}`
      rest = at + 2
    }
  }
  return result + text.slice(rest)
}
