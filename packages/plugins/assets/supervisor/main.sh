# The job from its start to its end, and the commands of this program.

soon() { [ "$1" -lt "$next" ] && next=$1; return 0; }

# Until `next` or a word from a child. dash cannot read with a timeout, so there a process says when it is time.
nap() {
  tell_time
  pause=$((next - now))
  [ "$pause" -ge 10 ] || pause=10
  set_seconds "$pause"
  if [ "$timed_read" ]; then
    # shellcheck disable=SC3045
    read -r -t "$seconds" _ <&3
  else
    # The clock has steps of 10 ms: whoever was to say so by then may have done it already.
    if [ "$((now + 10))" -gt "$tick_at" ] || [ "$next" -lt "$tick_at" ]; then
      { sleep "$seconds" 2>/dev/null || sleep 1; wake; } &
      tick_at=$next
    fi
    read -r _ <&3
  fi
  # Takes note of the children that have ended; `wait` for one of them is not safe beside traps in bash.
  jobs >/dev/null 2>&1
}

# Arguments: REASON MESSAGE
finish() {
  tell_time
  # shellcheck disable=SC2086
  kill_marked $containers
  end_call
  text="finished=$now"
  line reason "$1"
  line message "$2"
  beat
  insist put "$DIR/state/pod" "$text"
  tell_sender
  rm -rf "$private" "$run"
}

# The clock, the folders, and the pipe by which children wake this process.
open_job() {
  second=${INTERLINK_SECOND_MS:-1000} run=$DIR/run private= tick_at=0
  boot=0 resumed= told= call_pid=
  set_clock
  tell_time
  begun=$now
  for folder in state log message; do [ -d "$DIR/$folder" ] || mkdir -p "$DIR/$folder"; done
  if [ -e "$DIR/state/pod" ] || ! mkdir "$run" 2>/dev/null; then start_again; fi
  if ! mkfifo "$run/wake" 2>/dev/null; then
    # Some shared file systems have no pipes.
    private=$(mktemp -d "${TMPDIR:-/tmp}/interlink.XXXXXX") && rmdir "$run" && ln -s "$private" "$run" && mkfifo "$run/wake"
  fi
  exec 3<>"$run/wake"
  timed_read=
  # shellcheck disable=SC3045
  wake && read -r -t 0.5 _ <&3 2>/dev/null && timed_read=1
  # A run that goes on from another says so when its containers do.
  [ "$resumed" ] || beat
  find_tools
  [ "$session" ] || {
    finish StartError 'neither setsid nor perl is installed where the job runs; install util-linux'
    exit 1
  }
}

declare_containers() {
  count=0 ordered=
  for name in $containers; do
    i=$((count += 1))
    declare_container "$name"
    [ -z "$resumed" ] || { resume_container && save; }
    case $kind in main | ephemeral) ;; *) ordered=1 ;; esac
  done
}

# Those that were added meanwhile start beside what runs.
take_additions() {
  find_additions
  for name in $added; do
    i=$((count += 1))
    declare_container "$name"
  done
}

announce() {
  [ "$ordered$code" ] || reason=ContainerCreating
  # That of a new run is written with its first step.
  [ -z "$resumed" ] || write_state
}

take_step() {
  step
  write_state
}

conclude() {
  insist write_state
  case $kind in init | main) [ "$code" = 0 ] || failed=1 ;; esac
}

run_job() {
  asked=
  trap : HUP
  trap 'asked=1' TERM INT
  exec </dev/null >>"$DIR/supervisor.log" 2>&1
  cd /
  # shellcheck source=/dev/null
  . "$DIR/conf"
  find_additions
  open_job
  declare_containers
  each announce
  [ -z "$resumed" ] || beat
  pod_reason= pod_message= stopping= stop_until= abrupt= turn=0 heard= init_failed= started_all= passed=0 memory_at=$now

  while :; do
    tell_time
    next=$((now + second))
    look_for_stop
    look_for_call
    [ "$stopping" ] || take_additions
    [ "$stopping$started_all" ] || advance
    each take_step
    [ -z "$init_failed" ] && ! all_of main || [ "$stopping" ] || begin_end "$grace"
    if [ "$stopping" ]; then
      step_end
      all_of '*' && break
    fi
    [ "$stopping$started_all" ] || look_again
    if [ "$now" -ge "$memory_at" ]; then
      each watch_memory
      memory_at=$((now + 2 * second))
    fi
    measure
    if [ "$now" -ge "$beat_at" ]; then
      set_clock
      beat
    fi
    nap
  done

  [ -z "$asked" ] || [ -f "$DIR/stop" ] || be_told
  failed=0
  each conclude
  finish "$pod_reason" "$pod_message"
  exit "$failed"
}

mode=${1:-} DIR=${2:-} again=${3:-}
case $mode in
run) run_job ;;
start | enter)
  name=$3
  shift 3
  become "$@"
  ;;
action)
  name=$3
  sh=${INTERLINK_SH:-/bin/sh} second=${INTERLINK_SECOND_MS:-1000} perl=$5 python=$6
  act "$4"
  ;;
reap)
  # shellcheck source=/dev/null
  . "$DIR/conf"
  find_additions
  # shellcheck disable=SC2086
  kill_marked $containers
  ;;
*)
  echo 'usage: supervisor.sh run|reap DIR' >&2
  exit 2
  ;;
esac
