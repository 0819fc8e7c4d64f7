#!/bin/sh
# send.sh DIR {LOG BYTES}...   prints what a supervisor writes in its job directory, as it comes: `log NAME OFFSET BYTES`
# or `state NAME BYTES`, a newline, and the bytes; `end` after the last. Of the logs that are named so much was had.
# With INTERLINK_ONCE set: what is there now. The supervisor says by the pipe `look` that there is a state.
set -u
umask 077
# Sizes are bytes.
LC_ALL=C
export LC_ALL
newline='
'
cd -- "$1" || exit 1
shift
files='' seen=''
trap '[ -z "$seen" ] || rm -rf "$seen"' EXIT
trap 'exit 1' HUP INT TERM PIPE
# Sets `number` to that of a file: how much of a log was had is in at_<number>, a state in next_<number>, and as it was
# sent last in now_<number>.
find_number() {
  number=0
  for known in $files; do
    [ "$known" != "$1" ] || return 0
    number=$((number + 1))
  done
  files="$files $1"
  eval "at_$number=0 now_$number= next_$number="
}
while [ "$#" -ge 2 ]; do
  case $1 in *[!A-Za-z0-9._-]*) ;; *) find_number "log/$1" && eval "at_$number=\$2" ;; esac
  shift 2
done
# Most looks find nothing new, and the first ones are waited for: neither they nor states cost a process.
send_log() {
  [ -s "$1" ] || return
  [ "$seen" ] || seen=$(mktemp -d) || exit 1
  find_number "$1"
  eval "at=\$at_$number"
  while
    tail -c "+$((at + 1))" "$1" 2>/dev/null | head -c 262144 >"$seen/part"
    size=$(wc -c <"$seen/part")
    size=$((size))
    [ "$size" -gt 0 ]
  do
    echo "log ${1#log/} $at $size"
    cat "$seen/part"
    at=$((at + size))
    eval "at_$number=\$at"
    changed=1
  done
}
# Sets `text` to what is in a file.
read_text() {
  text='' line=''
  { while IFS= read -r line; do text=$text$line$newline; done; } 2>/dev/null <"$1" || return
  text=$text$line
}
# A state is read before the logs are: what it tells of is in them.
take_states() {
  for file in state/*; do
    case ${file#state/} in *[!A-Za-z0-9._-]* | *.tmp) continue ;; esac
    read_text "$file" || continue
    find_number "$file"
    eval "next_$number=\$text"
  done
}
send_state() {
  find_number "$1"
  eval "text=\$next_$number; [ \"\$text\" != \"\$now_$number\" ]" || return
  printf 'state %s %d\n%s' "${1#state/}" "${#text}" "$text"
  eval "now_$number=\$text"
  [ "$1" = state/supervisor ] || changed=1
}
# Until there is a state, for so many tenths of a second at most. Not all shells read with a timeout.
open_pipe() {
  timed_read='' piped=''
  [ -z "${INTERLINK_ONCE:-}" ] || return 0
  [ -p look ] || mkfifo look 2>/dev/null || return 0
  exec 3<>look
  piped=1
  # shellcheck disable=SC3045
  ! { echo >&3 && read -r -t 0.5 _ <&3; } 2>/dev/null || timed_read=1
}
nap() {
  if [ "$timed_read" ]; then
    # shellcheck disable=SC3045
    read -r -t "0.$1" _ <&3
    return
  fi
  [ "$piped" ] || { sleep "0.$1" 2>/dev/null || sleep 1; return; }
  # It may outlive this program, whose end is that of its output.
  { sleep "0.$1" || sleep 1; echo >&3; } >/dev/null 2>&1 &
  read -r _ <&3
}
open_pipe
tenths=1
while :; do
  changed=
  take_states
  for file in log/*; do
    case ${file#log/} in *[!A-Za-z0-9._-]*) ;; *) [ ! -f "$file" ] || send_log "$file" ;; esac
  done
  for file in $files; do
    case $file in state/pod | log/*) ;; *) send_state "$file" ;; esac
  done
  find_number state/pod
  eval "text=\$next_$number"
  if [ "$text" ]; then
    send_state state/pod
    echo end
    exit
  fi
  [ -z "${INTERLINK_ONCE:-}" ] || exit 0
  if [ "$changed" ]; then tenths=1; elif [ "$tenths" -lt 9 ]; then tenths=$((tenths + 1)); fi
  nap "$tenths"
done
