# The memory watchdog. Offers `watch_memory` and `was_short_of_memory` for the container at hand.

# Whether the kernel has killed more for lack of memory than was told of so far: where the control group of the job is to
# be seen, `memory.events` is its file of that name, cgroups(7), or memory.oom_control of the first version.
oom_kills_told=0
was_short_of_memory() {
  [ -r "$DIR/memory.events" ] || return 1
  oom_kills=$(sed -n 's/^oom_kill //p' "$DIR/memory.events" 2>/dev/null)
  [ "${oom_kills:-0}" -gt "$oom_kills_told" ] || return 1
  oom_kills_told=$((oom_kills_told + 1))
}

# Adds PID and the processes below it to `tree`.
grow_tree() {
  tree="$tree $1"
  for children in /proc/"$1"/task/*/children; do
    [ -r "$children" ] || continue
    read -r below <"$children" || [ "$below" ] || continue
    for child in $below; do grow_tree "$child"; done
  done
}

# Sets `tree` to the processes of the container. Those whose parents have ended are in no tree of the kernel's, as all
# are of a kernel that keeps no lists of children: the mark tells them. To look for it takes longer, and is done less often.
find_tree() {
  tree=
  grow_tree "$leader"
  fresh=
  if [ "$now" -ge "${strays_at:-0}" ] || [ ! -r "/proc/$$/task/$$/children" ]; then
    strays=$(list_marked "$name") strays_at=$((now + 10 * second)) fresh=1
  fi
  for stray in $strays; do
    case "$tree " in *" $stray "*) continue ;; esac
    # Its number may have become another's.
    [ "$fresh" ] || grep -qszxF "INTERLINK_INSTANCE=$name.$uid" "/proc/$stray/environ" || continue
    grow_tree "$stray"
  done
}

# Resident sizes count shared pages once per process; near the limit the exact share decides.
watch_memory() {
  case $phase in hook | run | stop) ;; *) return 0 ;; esac
  [ "$memory" ] && find_leader || return 0
  find_units
  find_tree
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
