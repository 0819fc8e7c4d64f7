# Probes and the postStart hook of the container at hand: when they run and what comes of it. Offers `step_probe`,
# `step_hook`, `end_probes`, and `start_action`, `action_result`, `end_action` and `said` for any action.

# shellcheck disable=SC2086
start_action() {
  rm -f "$run/$name.$1"
  find_interpreters
  $session $sh "$DIR/supervisor.sh" action "$DIR" "$name" "$1" "$perl" "$python" </dev/null >"$run/$name.$1.said" 2>&1 &
  action=$!
}

# The result of action WHAT with number PID: sets `result`, empty while it runs.
action_result() {
  result=
  [ -s "$run/$name.$1" ] || { is_alive "$2" && return 0; }
  [ -s "$run/$name.$1" ] && read -r result <"$run/$name.$1"
  result=${result:-137}
}

end_action() {
  kill -s KILL -- "-$1" 2>/dev/null || kill -s KILL "$1" 2>/dev/null
}

said() {
  words=$(head -c 1024 "$run/$name.$1.said" 2>/dev/null | escape)
  printf %s "${words%\\n}"
}

step_hook() {
  action_result postStart "$hook_pid"
  [ "$result" ] || return 0
  hook_pid=
  if [ "$result" = 0 ]; then
    begin_running
  else
    notice FailedPostStartHook "PostStartHook failed: $(said postStart)"
    begin_stop $((now + grace * second))
  fi
}

step_probe() {
  eval "period=\$$1_period"
  [ "$period" ] || return 0
  eval "pid=\$$1_pid due_at=\$$1_due until=\$$1_until limit=\$$1_timeout"
  if [ -z "$pid" ]; then
    if [ "$now" -ge "$due_at" ]; then
      start_action "$1"
      eval "$1_pid=\$action $1_due=\$((now + period * second)) $1_until=\$((now + limit * second))"
      soon $((now + limit * second))
    else
      soon "$due_at"
    fi
    return 0
  fi
  action_result "$1" "$pid"
  why=
  if [ -z "$result" ]; then
    if [ "$now" -lt "$until" ]; then
      soon "$until"
      return 0
    fi
    end_action "$pid"
    result=timeout why="timed out after $(duration "$limit")"
  fi
  soon "$due_at"
  eval "$1_pid= good=\$$1_good bad=\$$1_bad needs=\$$1_success allows=\$$1_failure"
  if [ "$result" = 0 ]; then
    good=$((good + 1)) bad=0
  else
    good=0 bad=$((bad + 1))
  fi
  eval "$1_good=\$good $1_bad=\$bad"
  case $1 in startup) title=Startup ;; liveness) title=Liveness ;; *) title=Readiness ;; esac
  [ "$result" = 0 ] || notice Unhealthy "$title probe failed: ${why:-$(said "$1")}"
  if [ "$good" -ge "$needs" ]; then
    case $1 in startup) rise ;; readiness) ready=1 ;; esac
  elif [ "$bad" -ge "$allows" ]; then
    if [ "$1" = readiness ]; then
      ready=0
    else
      eval "patience=\${$1_grace:-\$grace}"
      promise=', will be restarted'
      [ "$kind" = sidecar ] || [ "$restart_policy" != Never ] || promise=
      notice Killing "Container $name failed $1 probe$promise: $notice_message"
      begin_stop $((now + patience * second))
    fi
  fi
}

end_probes() {
  for probe in startup liveness readiness; do
    eval "pid=\$${probe}_pid ${probe}_pid="
    [ -z "$pid" ] || end_action "$pid"
  done
}
