# Where nobody can reach the job, the plugin leaves a program that connects the job to it. Offers `look_for_call` and
# `end_call`.

look_for_call() {
  [ -f "$DIR/call" ] || return 0
  end_call
  mv -f "$DIR/call" "$run/call" || return 0
  find_interpreters
  if [ "$perl" ]; then
    # shellcheck disable=SC2086
    $session $perl "$run/call" "$DIR" >/dev/null 2>"$DIR/call.log" 3>&- &
    call_pid=$!
  else
    rm -f "$run/call"
    echo 'perl is not installed where the job runs' >"$DIR/call.log"
  fi
}

# It ends what it has started by itself.
end_call() {
  [ -z "$call_pid" ] || kill -s TERM -- "-$call_pid" 2>/dev/null
  call_pid=
}
