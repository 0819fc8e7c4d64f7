/**
 * A script that kills processes and all that descend from them.
 * @param roots shell code that sets `mine` to process ids
 */
export const endTrees = (roots: string): string => `
mine=''
${roots}
[ -n "$mine" ] || exit 0
ps -eo pid=,ppid= | awk -v roots="$mine" '
  { parent[$1] = $2 }
  END {
    split(roots, list, " "); for (i in list) chosen[list[i]] = 1
    do { more = 0; for (pid in parent) if (!(pid in chosen) && (parent[pid] in chosen)) { chosen[pid] = 1; more = 1 } } while (more)
    for (pid in chosen) print pid
  }' | xargs -r kill -KILL 2>/dev/null
exit 0
`
