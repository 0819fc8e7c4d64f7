# What the containers use, for whoever has asked by the file `measure`: one look at their processes. Offers `measure`.

measure() {
  [ -e "$DIR/measure" ] || return 0
  rm -f "$DIR/measure"
  usage=at=$now
  each measure_container
  put "$DIR/usage" "$usage"
}

# CPU time of processes and of those of their children that have ended, proc_pid_stat(5); a name in it may hold anything.
measure_container() {
  case $phase in hook | run | stop) ;; *) return 0 ;; esac
  find_leader || return 0
  find_units
  find_tree
  ticks=0 used=0
  for process in $tree; do
    { read -r stat <"/proc/$process/stat" && read -r _ resident _ <"/proc/$process/statm"; } 2>/dev/null || continue
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [ "$#" -ge 15 ] || continue
    ticks=$((ticks + ${12} + ${13} + ${14} + ${15})) used=$((used + resident * page))
  done
  usage="$usage
$name $((ticks * 1000 / hertz)) $used"
}
