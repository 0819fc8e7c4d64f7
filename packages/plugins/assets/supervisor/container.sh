# The life of the container at hand: attempts, their results, and when there is another. Offers `launch`, and `step`,
# which goes from one phase to the next as soon as the facts allow it.

launch() {
  if [ "$code" ]; then
    [ "$state" = terminated ] && keep_last
    restarts=$((restarts + 1))
  fi
  [ "$restarts" = 0 ] || rm -f "$run/$name."* "$DIR/log/$name.$((restarts - 2))"
  mkfifo "$run/$name.in" "$run/$name.out" "$run/$name.err"
  : >"$DIR/message/$name"
  # What it opens by itself, as /dev/stdout, is to be its own.
  [ -z "$run_user" ] || chown "$run_user" "$run/$name.in" "$run/$name.out" "$run/$name.err" "$DIR/message/$name"
  phase=make state=waiting reason=ContainerCreating
  message= code= signal= started= finished= oom= leader= strays= strays_at= ready=0 up=0 stage= kill_at=
  watch_attempt </dev/null &
  [ "$announced" ] || begin
}

is_made() { [ -z "$announced" ] || [ -e "$run/$name.made" ]; }

begin() {
  tell_time
  started=$now
  if [ "$post_start" ]; then
    phase=hook
    start_action postStart
    hook_pid=$action
  else
    begin_running
  fi
}

keep_last() {
  last_code=$code last_signal=$signal last_reason=$reason last_message=$message
  last_started=$started last_finished=$finished
}

begin_running() {
  phase=run state=running reason= message=
  for probe in startup liveness readiness; do
    eval "${probe}_pid= ${probe}_good=0 ${probe}_bad=0 ${probe}_due=\$((now + \${${probe}_delay:-0} * second))"
  done
  [ "$startup_period" ] || rise
}

# Startup is over: from now on the other probes count.
rise() {
  up=1
  [ "$readiness_period" ] || ready=1
}

# The container's first process has ended: all others end with it.
step_exit() {
  [ -s "$run/$name.exit" ] || return 1
  read -r code finished <"$run/$name.exit"
  [ "$finished" ] || return 1
  end_probes
  end_hook
  if find_leader; then
    kill -s KILL -- "-$leader" 2>/dev/null
    kill_session "$leader"
  fi
  kill_marked "$name"
  phase=drain due=$((now + 2000))
  return 0
}

step_drain() {
  if [ ! -e "$run/$name.drained" ]; then
    if [ "$now" -ge "$due" ]; then
      read -r logger <"$run/$name.logger"
      kill -s USR2 "$logger" 2>/dev/null
      due=$((now + 2000))
    fi
    soon "$due"
    return 0
  fi
  state=terminated ready=0 up=0 signal=
  [ "$code" != 137 ] || ! was_short_of_memory || oom=1
  if [ "$oom" ]; then
    code=137 reason=OOMKilled
  elif [ -s "$run/$name.fail" ]; then
    reason=StartError
    [ ! -s "$run/$name.reason" ] || reason=$(cat "$run/$name.reason")
  elif [ "$code" = 0 ]; then
    reason=Completed
    [ "$kind" = init ] && ready=1
  else
    reason=Error
  fi
  [ "$code" -gt 128 ] && [ "$code" -le 192 ] && signal=$((code - 128))
  message=$(last_words)
  if should_restart; then
    [ "$started" ] && [ $((finished - started)) -ge $((600 * second)) ] && delay=0
    due=$((finished + delay * second))
    # What has killed it may be telling the whole job to end, which is heard of in a moment.
    [ -z "$signal" ] || [ "$delay" -gt 0 ] || due=$((finished + second))
    if [ "$delay" -gt 0 ]; then
      keep_last
      state=waiting reason=CrashLoopBackOff
      message="back-off $(duration "$delay") restarting failed container=$name pod=${pod}_$namespace($uid)"
      finished= started=
    fi
    delay=$((delay ? delay * 2 : 10))
    [ "$delay" -gt 300 ] && delay=300
    phase=wait
  else
    phase=done
    [ "$kind" = init ] && [ "$code" != 0 ] && init_failed=1
  fi
  return 0
}

last_words() {
  words=
  if [ -s "$run/$name.fail" ]; then
    words=$(head -c 4096 "$run/$name.fail" | escape)
  elif [ -s "$DIR/message/$name" ]; then
    words=$(head -c 4096 "$DIR/message/$name" | escape)
  elif [ "$message_policy" = FallbackToLogsOnError ] && [ "$code" != 0 ]; then
    words=$(tail -n 80 "$DIR/log/$name.$restarts" 2>/dev/null | join_records | tail -c 2048 | escape)
  fi
  [ -z "$oom" ] || [ "$words" ] || words="memory limit of $memory bytes exceeded"
  printf %s "$words"
}

# The text of CRI records: a P record goes on in the next.
join_records() {
  LC_ALL=C sed -e 's/^[^ ]* [^ ]* //' |
    LC_ALL=C sed -e ':a' -e '/^P /{' -e '$!{' -e 'N' -e 's/^P \(.*\)\n\([PF] \)/\2\1/' -e 'ta' -e '}' -e '}' -e 's/^[PF] //'
}

should_restart() {
  [ "$stopping" ] && return 1
  case $kind in
  ephemeral) return 1 ;;
  sidecar) return 0 ;;
  init) [ "$code" != 0 ] && [ "$restart_policy" != Never ] ;;
  main) [ "$restart_policy" = Always ] || { [ "$restart_policy" = OnFailure ] && [ "$code" != 0 ]; } ;;
  esac
}

# The next attempt will not be: what is known of the one before is what remains.
give_up() {
  phase=done
  [ "$state" = terminated ] && return
  state=terminated code=$last_code signal=$last_signal reason=$last_reason message=$last_message
  started=$last_started finished=$last_finished
  last_code= last_signal= last_reason= last_message= last_started= last_finished=
}

step() {
  [ "$kind$phase$stopping" = ephemeralidle ] && launch
  [ "$phase" = make ] && is_made && begin
  case $phase in
  make | hook | run | stop) step_exit ;;
  esac
  case $phase in
  hook) step_hook ;;
  run)
    if [ "$up" = 0 ]; then
      step_probe startup
    else
      step_probe readiness
      [ "$phase" = run ] && [ -z "$stopping" ] && step_probe liveness
    fi
    ;;
  esac
  case $phase in
  stop) step_stop ;;
  drain) step_drain ;;
  esac
  if [ "$phase" = wait ]; then
    if [ "$stopping" ]; then
      give_up
    elif [ "$now" -ge "$due" ]; then
      launch
    else
      soon "$due"
    fi
  fi
}
