#!/bin/sh
# send.sh DIR {LOG BYTES}...   prints what a supervisor writes in its job directory, as it comes: `log NAME OFFSET BYTES`
# or `state NAME BYTES`, a newline, and the bytes; `end` after the last. Of the logs that are named so much was had.
# With INTERLINK_ONCE set: what is there now.
set -u
umask 077
cd -- "$1" || exit 1
shift
seen=$(mktemp -d) || exit 1
trap 'rm -rf "$seen"' EXIT
trap 'exit 1' HUP INT TERM PIPE
while [ "$#" -ge 2 ]; do
  echo "$2" >"$seen/at.$1"
  shift 2
done
count() {
  size=$(wc -c <"$1")
  size=$((size))
}
send_log() {
  name=${1#log/} at=0
  [ ! -e "$seen/at.$name" ] || read -r at <"$seen/at.$name"
  while
    tail -c "+$((at + 1))" "$1" 2>/dev/null | head -c 262144 >"$seen/part"
    count "$seen/part"
    [ "$size" -gt 0 ]
  do
    echo "log $name $at $size"
    cat "$seen/part"
    at=$((at + size))
    echo "$at" >"$seen/at.$name"
    changed=1
  done
}
# A state is copied before the logs are read: what it tells of is in them.
take_states() {
  rm -f "$seen"/next.*
  for file in state/*; do
    case ${file#state/} in *[!A-Za-z0-9._-]* | *.tmp) ;; *) cp -- "$file" "$seen/next.${file#state/}" 2>/dev/null ;; esac
  done
}
send_state() {
  cmp -s "$seen/next.$1" "$seen/now.$1" && return
  mv -- "$seen/next.$1" "$seen/now.$1"
  count "$seen/now.$1"
  echo "state $1 $size"
  cat "$seen/now.$1"
  [ "$1" = supervisor ] || changed=1
}
# A pod that has just begun goes from one state to the next while such a look is under way.
looks=50
until grep -qs '^state=[rt]' state/c.* || [ -e state/pod ] || [ $((looks -= 1)) -lt 0 ] || [ -n "${INTERLINK_ONCE:-}" ]; do
  sleep 0.02 2>/dev/null || break
done
tenths=1
while :; do
  changed=
  take_states
  for file in log/*; do
    case ${file#log/} in *[!A-Za-z0-9._-]*) ;; *) [ ! -f "$file" ] || send_log "$file" ;; esac
  done
  for file in "$seen"/next.*; do
    case $file in */next.pod | */next.\*) ;; *) send_state "${file#"$seen"/next.}" ;; esac
  done
  if [ -e "$seen/next.pod" ]; then
    send_state pod
    echo end
    exit
  fi
  [ -z "${INTERLINK_ONCE:-}" ] || exit 0
  if [ "$changed" ]; then tenths=1; elif [ "$tenths" -lt 9 ]; then tenths=$((tenths + 1)); fi
  sleep "0.$tenths" 2>/dev/null || sleep 1
done
