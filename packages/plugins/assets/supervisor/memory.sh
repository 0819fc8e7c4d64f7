# The memory watchdog. Offers `watch_memory` for the container at hand.

# Adds the processes below PID to `tree`; the kernel's list of children where it has one.
grow_tree() {
  tree="$tree $1"
  for children in /proc/"$1"/task/*/children; do
    [ -r "$children" ] || continue
    read -r below <"$children" || [ "$below" ] || continue
    for child in $below; do grow_tree "$child"; done
  done
}

find_tree() {
  tree=
  if [ -r "/proc/$1/task/$1/children" ]; then
    grow_tree "$1"
  else
    tree=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/x/' | awk -v root="$1" '
      { parent[$1] = $4; session[$1] = $6 }
      function below(p, n) { for (n = 0; p in parent && n < 64; n++) { if (p == root) return 1; p = parent[p] } return 0 }
      END { for (p in parent) if (session[p] == root || below(p)) print p }')
  fi
}

# Resident sizes count shared pages once per process; near the limit the exact share decides.
watch_memory() {
  case $phase in hook | run | stop) ;; *) return 0 ;; esac
  [ "$memory" ] && find_leader || return 0
  find_tree "$leader"
  used=0
  for process in $tree; do
    { read -r _ resident _ <"/proc/$process/statm"; } 2>/dev/null && used=$((used + resident * page))
  done
  [ "$used" -gt "$memory" ] || return 0
  exact=0
  for process in $tree; do
    share=$(sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$process/smaps_rollup" 2>/dev/null)
    if [ -z "$share" ]; then
      [ -d "/proc/$process" ] && exact=$used
      continue
    fi
    exact=$((exact + share * 1024))
  done
  [ "$exact" -gt "$memory" ] || return 0
  oom=1
  kill -s KILL -- "-$leader" 2>/dev/null
  for process in $tree; do kill -s KILL "$process" 2>/dev/null; done
  return 0
}
