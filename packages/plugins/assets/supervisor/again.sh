# What a second start of the same job does. Offers `start_again` and, where the job goes on, `resume_container`.

# Only the batch system can say that the first run has ended (`again`): then the pod is restarted as its policy has it.
# Else nothing is known of the first run, and nothing is run twice.
start_again() {
  # A run that was told to end may be repeated; one that has come to its end may not.
  ended=$(sed -n 's/^told=//p' "$DIR/state/supervisor" 2>/dev/null)
  if [ -e "$DIR/state/pod" ] && { [ -z "$again" ] || [ -z "$ended" ]; }; then exit 0; fi
  old=$(sed -n 's/^pid=//p' "$DIR/state/supervisor" 2>/dev/null)
  # The path may hold newlines, which grep would take for more than one.
  if [ "$old" ] && tr '\n\000' '\001\n' <"/proc/$old/cmdline" 2>/dev/null |
    grep -qxF -- "$(printf %s "$DIR" | tr '\n' '\001')"; then exit 3; fi
  # shellcheck disable=SC2086
  kill_marked $containers
  if [ "$again" ] && [ "$restart_policy" != Never ]; then
    end_watchers
    rm -rf "$run" "$DIR/state/pod"
    mkdir "$run" || exit 1
    beaten=$(sed -n 's/^beat=//p' "$DIR/state/supervisor" 2>/dev/null)
    resumed=1
    return
  fi
  for name in $containers; do
    grep -qs '^state=terminated' "$DIR/state/c.$name" && continue
    put "$DIR/state/c.$name" "$(grep -sE '^(restarts|started)=' "$DIR/state/c.$name")
state=terminated
reason=ContainerStatusUnknown
message=The job was started a second time and could not learn what became of the container
exit=137
finished=$now"
  done
  if [ "$again" ]; then
    finish Requeued 'The job was interrupted and put back into the queue; restartPolicy Never: it is not run again'
  else
    finish NodeLost 'The job was interrupted and started a second time; it is not run twice'
  fi
  exit 1
}

# What the first run has left to watch its containers would write into the files of this one.
end_watchers() {
  for entry in /proc/[0-9]*/cmdline; do
    watcher=${entry#/proc/} watcher=${watcher%/cmdline}
    [ "$watcher" != "$$" ] || continue
    # The path may hold newlines, as above.
    tr '\n\000' '\001\n' <"$entry" 2>/dev/null | grep -qxF -- "$(printf %s "$DIR" | tr '\n' '\001')" || continue
    words=$(tr '\000' '\n' <"$entry" 2>/dev/null | grep -xE 'run|again' | tr '\n' ' ')
    [ "$words" != 'run ' ] || kill -s KILL "$watcher" 2>/dev/null
  done
}

# The container at hand goes on from what the first run has told of it: what was running is its last state.
resume_container() {
  was= was_restarts=0 was_code= was_signal= was_reason= was_message= was_started= was_finished=
  while IFS= read -r entry; do
    value=${entry#*=}
    case $entry in
    state=*) was=$value ;;
    restarts=*) was_restarts=$value ;;
    exit=*) was_code=$value ;;
    signal=*) was_signal=$value ;;
    reason=*) was_reason=$value ;;
    message=*) was_message=$value ;;
    started=*) was_started=$value ;;
    finished=*) was_finished=$value ;;
    last.exit=*) last_code=$value ;;
    last.signal=*) last_signal=$value ;;
    last.reason=*) last_reason=$value ;;
    last.message=*) last_message=$value ;;
    last.started=*) last_started=$value ;;
    last.finished=*) last_finished=$value ;;
    esac
  done 2>/dev/null <"$DIR/state/c.$name"
  restarts=$was_restarts
  case $was in
  running)
    was_code=137 was_signal=9 was_reason=ContainerStatusUnknown was_finished=${beaten:-$now}
    was_message='The job was interrupted and put back into the queue'
    ;;
  terminated)
    # What has ended with the run, be it with 0, has not come to its own end.
    if [ "$kind$restart_policy$was_code" = mainOnFailure0 ] &&
      { [ -z "$ended" ] || [ "$was_finished" -lt $((ended - 3000)) ]; }; then
      stay_ended
      return 0
    fi
    ;;
  *)
    # In CrashLoopBackOff the latest attempt has ended, and its end is the last state already.
    [ -z "$last_code" ] || restarts=$((was_restarts + 1))
    return 0
    ;;
  esac
  if [ "$kind" = ephemeral ]; then
    stay_ended
    return 0
  fi
  restarts=$((was_restarts + 1))
  last_code=$was_code last_signal=$was_signal last_reason=$was_reason last_message=$was_message
  last_started=$was_started last_finished=$was_finished
  if [ "$last_finished" -lt "${last_started:-0}" ]; then last_finished=$last_started; fi
}

stay_ended() {
  phase=done state=terminated code=$was_code signal=$was_signal reason=$was_reason message=$was_message
  started=$was_started finished=$was_finished
}
