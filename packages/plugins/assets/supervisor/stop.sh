# The end of the container at hand: preStop, the stop signal, KILL. Offers `begin_stop` and `step_stop`.

begin_stop() {
  end_probes
  stage=term kill_at=$1
  if [ "$hook_pid" ]; then
    end_action "$hook_pid"
    hook_pid=
  fi
  if [ "$pre_stop" ] && [ "$phase" = run ] && [ "$now" -lt "$kill_at" ]; then
    stage=hook
    start_action preStop
    hook_pid=$action
  fi
  phase=stop
  [ "$stage" = hook ] || deliver "$stop_signal"
}

find_leader() {
  [ "$leader" ] && return 0
  [ -s "$run/$name.pid" ] && read -r leader <"$run/$name.pid"
  [ "$leader" ]
}

# Sets `target`: the group, or the child of a runtime in front of the container that does not pass signals on.
find_target() {
  find_leader || return 1
  target=-$leader
  [ "$stop_child" ] || return 0
  target=$(cat "/proc/$leader/task/"*/children 2>/dev/null)
  target=${target%% *}
  [ "$target" ]
}

deliver() {
  if find_target; then
    kill -s "$1" -- "$target" 2>/dev/null
    stage=sent
  else
    soon $((now + 20))
  fi
}

step_stop() {
  if [ "$stop_until" ] && [ "$stop_until" -lt "$kill_at" ]; then kill_at=$stop_until; fi
  if [ "$stage" = hook ]; then
    action_result preStop "$hook_pid"
    if [ "$result" ] || [ "$now" -ge "$kill_at" ]; then
      if [ -z "$result" ]; then
        end_action "$hook_pid"
        # As the kubelet: a hook that took all the time leaves 2 s for the signal, unless there was none to take.
        kill_at=$((now + 2 * second))
        [ -z "$stop_until" ] || [ "$stop_until" -ge "$kill_at" ] || stop_until=$kill_at
        notice FailedPreStopHook "PreStopHook did not end within the grace period"
      elif [ "$result" != 0 ]; then
        notice FailedPreStopHook "PreStopHook failed: $(said preStop)"
      fi
      hook_pid= stage=term
    fi
  fi
  [ "$stage" = term ] && deliver "$stop_signal"
  if [ "$stage" = sent ] && [ "$now" -ge "$kill_at" ]; then
    kill -s KILL -- "-$leader" 2>/dev/null
    kill_marked "$name"
    stage=killed
  fi
  case $stage in sent | hook) soon "$kill_at" ;; esac
  return 0
}
