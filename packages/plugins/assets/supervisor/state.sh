# What is known of each container and what is told of it: the variables behind `load` and `save`, and the state files
# behind `beat`, `write_state`, `tell_sender`, `notice`, `put`, `insist` and `line`.

# conf of the container
fields='name kind run_user interactive stop_signal stop_child announced memory message_policy post_start pre_stop'
# what is told
fields="$fields state reason message restarts started finished code signal ready up written"
fields="$fields last_code last_signal last_reason last_message last_started last_finished"
fields="$fields notice_reason notice_message notice_at"
# phase: idle make hook run stop drain wait done; due: when it goes on; stage: of stop (hook term sent killed)
fields="$fields phase stage due delay floor kill_at hook_pid oom leader strays strays_at"
for probe in startup liveness readiness; do
  for field in delay period timeout success failure grace pid due until good bad; do
    fields="$fields ${probe}_$field"
  done
done

declare_container() {
  for field in $fields; do eval "$field="; done
  name=$1
  # shellcheck source=/dev/null
  . "$DIR/c/$name/conf"
  phase=idle state=waiting restarts=0 ready=0 up=0 delay=0
  reason=PodInitializing
  loading= saving=
  for field in $fields; do
    loading="$loading $field=\$c${i}_$field"
    saving="$saving c${i}_$field=\$$field"
  done
  eval "load_$i=\$loading save_$i=\$saving"
  eval "$saving"
}

# Sets `added` to the containers that the file of additions has and `containers` has not, and adds them to it. Their
# files were there before their names.
find_additions() {
  added=
  [ -f "$DIR/additions" ] || return 0
  while IFS= read -r name; do
    case " $containers $added " in *" $name "*) ;; *) added="$added $name" ;; esac
  done <"$DIR/additions"
  containers=$containers$added
}

load() { i=$1 && eval "eval \"\$load_$1\""; }
save() { eval "eval \"\$save_$i\""; }

# Calls STEP for each container in their order.
each() {
  i=0
  while [ $((i += 1)) -le "$count" ]; do
    load "$i"
    "$1"
    save
  done
}

put() {
  printf '%s\n' "$2" >"$1.tmp" && mv -f "$1.tmp" "$1"
}

# To whoever sends states elsewhere. It never blocks: it opens the pipe for reading too.
tell_sender() { [ ! -p "$DIR/look" ] || echo 1<>"$DIR/look"; }

# What is said last is said once: a full disk is given ten minutes to get room again.
insist() {
  tries=600
  until "$@"; do
    [ $((tries -= 1)) -gt 0 ] || return 1
    sleep 1
  done
}

beat() {
  put "$DIR/state/supervisor" "pid=$$
started=$begun
beat=$now${told:+
told=$told}"
  beat_at=$((now + 10 * second))
}

line() { [ -z "$2" ] || text="$text
$1=$2"; }

write_state() {
  text="state=$state"
  line reason "$reason"
  line message "$message"
  line restarts "$restarts"
  line started "$started"
  line finished "$finished"
  if [ "$state" = terminated ]; then
    line exit "$code"
    line signal "$signal"
  fi
  line ready "$ready"
  line up "$up"
  line last.exit "$last_code"
  line last.signal "$last_signal"
  line last.reason "$last_reason"
  line last.message "$last_message"
  line last.started "$last_started"
  line last.finished "$last_finished"
  line notice.reason "$notice_reason"
  line notice.message "$notice_message"
  line notice.at "$notice_at"
  [ "$text" = "$written" ] && return
  # What could not be written, on a full disk, is tried again.
  put "$DIR/state/c.$name" "$text" && written=$text && tell_sender
}

notice() { notice_reason=$1 notice_message=$2 notice_at=$now; }
