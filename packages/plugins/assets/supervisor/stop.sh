# The end of the container at hand: preStop, the stop signal, KILL. Offers `begin_stop` and `step_stop`.

# Argument: when to KILL. As with a kubelet, preStop starts at once, also that of a sidecar whose turn is later.
begin_stop() {
  end_probes
  end_hook
  phase=stop stage=term kill_at=$1
  if [ "$pre_stop" ] && [ "$started" ] && [ "$now" -lt "$kill_at" ]; then
    stage=hook
    start_action preStop
    hook_pid=$action
  fi
  step_stop
}

end_hook() {
  [ -z "$hook_pid" ] || end_action "$hook_pid"
  hook_pid=
}

find_leader() {
  [ "$leader" ] && return 0
  [ -s "$run/$name.pid" ] && read -r leader <"$run/$name.pid"
  [ "$leader" ]
}

# Sets `target`: the group, or the child of a runtime in front of the container that does not pass signals on; the
# group too while the container is not there yet.
find_target() {
  find_leader || return 1
  target=-$leader
  if [ -z "$stop_child" ] || ! is_made; then return 0; fi
  target=$(cat "/proc/$leader/task/"*/children 2>/dev/null)
  target=${target%% *}
  [ "$target" ]
}

deliver() {
  [ "$kind" != sidecar ] || [ -z "$stopping" ] || [ "$i" -ge "$turn" ] || return 0
  if find_target; then
    kill -s "$stop_signal" -- "$target" 2>/dev/null
    # As with a kubelet: however little a hook or the other containers have left, there are 2 s for the signal.
    stage=sent floor=$((now + 2 * second))
  else
    soon $((now + 20))
  fi
}

step_stop() {
  if [ "$stop_until" ] && [ "$stop_until" -lt "$kill_at" ]; then kill_at=$stop_until; fi
  if [ "$stage" = hook ]; then
    action_result preStop "$hook_pid"
    if [ "$result" ] || [ "$now" -ge "$kill_at" ]; then
      case $result in
      0) ;;
      '') notice FailedPreStopHook 'PreStopHook did not end within the grace period' ;;
      *) notice FailedPreStopHook "PreStopHook failed: $(said preStop)" ;;
      esac
      end_hook
      stage=term
    fi
  fi
  [ "$stage" = term ] && deliver
  if [ "$stage" = sent ]; then
    [ "$abrupt" ] || [ "$kill_at" -ge "$floor" ] || kill_at=$floor
    if [ "$now" -ge "$kill_at" ]; then
      kill -s KILL -- "-$leader" 2>/dev/null
      kill_marked "$name"
      stage=killed
    fi
  fi
  case $stage in sent | hook) soon "$kill_at" ;; esac
  return 0
}
