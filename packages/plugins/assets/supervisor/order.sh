# The order of the containers. Offers `advance` while the pod starts, `look_for_stop`, `begin_end` and `step_end`
# while it ends.

# The order of a start: an init container to its end, a sidecar until it is up, then all main containers.
advance() {
  i=0
  while [ $((i += 1)) -le "$count" ]; do
    load "$i"
    [ "$kind" != ephemeral ] || continue
    if [ "$phase" = idle ]; then
      launch
      save
    fi
    case $kind in
    init) [ "$phase" = done ] && [ "$code" = 0 ] || return 0 ;;
    sidecar) [ "$state" = running ] && [ "$up" = 1 ] || [ "$passed" -ge "$i" ] || return 0 ;;
    esac
    [ "$passed" -ge "$i" ] || passed=$i
  done
  started_all=1
}

begin_end() {
  stopping=1 turn=$((count + 1))
  stop_until=$((now + $1 * second))
}

# Who signals the job, often with all of its processes, is not of the pod's own; why is for others to say.
be_told() {
  [ "$pod_reason" ] && return
  pod_reason=Terminated told=$now
  pod_message='The job was told to end by a signal from outside'
  beat
}

# A wish to stop: a signal, or the file with the grace in seconds and, where there is one, the reason and the message of
# the pod, a line each; a later and shorter one counts.
look_for_stop() {
  wish= why= words=
  if [ -f "$DIR/stop" ]; then
    { read -r wish && read -r why && read -r words; } <"$DIR/stop" || :
    case $wish in '' | *[!0-9]* | ????????*) wish=$grace ;; esac
  elif [ "$asked" ]; then
    wish=$grace
  fi
  if [ "$wish" ] && [ "$wish" != "$heard" ]; then
    [ "$wish" -gt 0 ] || abrupt=1
    if [ -z "$heard" ] && [ -z "$stopping" ]; then
      [ -f "$DIR/stop" ] || be_told
      [ "$pod_reason" ] || pod_reason=$why pod_message=$words
      begin_end "$wish"
    elif [ $((now + wish * second)) -lt "$stop_until" ]; then
      stop_until=$((now + wish * second))
    fi
    heard=$wish
  fi
  if [ "$deadline" ] && [ -z "$stopping" ]; then
    if [ "$now" -ge $((begun + deadline * second)) ]; then
      pod_reason=DeadlineExceeded
      pod_message='Pod was active on the node longer than the specified deadline'
      begin_end "$grace"
    else
      soon $((begun + deadline * second))
    fi
  fi
}

end_container() {
  case $phase in
  idle) phase=done ;;
  make | hook | run) begin_stop "$stop_until" ;;
  esac
  [ "$phase" = done ] && return 0
  if [ "$kind" != sidecar ]; then
    last=$((count + 1))
  elif [ "$last" -le "$count" ]; then
    last=$i
  fi
}

# While the pod ends: all stop, but a sidecar is not signalled before its turn: `turn` is the first that may be, the
# last that is left when all main containers have ended. When the time is over, it is everybody's turn.
step_end() {
  last=0
  each end_container
  if [ "$now" -ge "$stop_until" ]; then last=0; else soon "$stop_until"; fi
  [ "$last" = "$turn" ] || soon "$now"
  turn=$last
}

# Whether all containers of a kind, which may be a pattern, are done.
all_of() {
  j=0
  while [ $((j += 1)) -le "$count" ]; do
    eval "k=\$c${j}_kind p=\$c${j}_phase"
    # shellcheck disable=SC2254
    case $k in $1) [ "$p" = done ] || return 1 ;; esac
  done
}

# What a step made possible (an init container has ended, a sidecar is up) need not wait for the next round.
look_again() {
  i=0
  while [ $((i += 1)) -le "$count" ]; do
    eval "k=\$c${i}_kind p=\$c${i}_phase u=\$c${i}_up"
    [ "$i" -gt "$passed" ] || continue
    case $k$p$u in initdone? | sidecarrun1) soon "$now" ;; esac
    return 0
  done
}
