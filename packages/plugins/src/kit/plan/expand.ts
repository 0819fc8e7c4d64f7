/**
 * Kubernetes expansion: `$(NAME)` becomes the value, `$$` a dollar sign; an unknown name and any other use
 * of `$` stay as they are. Source: k8s.io/kubernetes/third_party/forked/golang/expansion.
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (all, name: string | undefined) =>
    name === undefined ? '$' : (lookup(name) ?? all)
  )
}
