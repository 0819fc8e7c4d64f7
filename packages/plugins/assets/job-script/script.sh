#!/bin/sh
# A pod that the script of a job script builder runs, by the files of the reference's contract:
# {init,run}-<container>.{out,status} in the job directory, which is the script's workingPath.
#
#   script.sh run DIR                     the script, to its end
#   script.sh end DIR                     kills what is left of it
#   script.sh follow DIR CONTAINER KIND   a container as the script tells of it; KIND: init, sidecar, main, last
#
# POSIX sh; runs under dash, bash and busybox ash. What the script writes is only ever data here.

set -u

# Once: of a job that is put back into the queue, the first run is all there is.
run() {
  mkdir "$DIR/jobScript.run" 2>/dev/null || exit 0
  set -- "$DIR/jobScript.sh"
  if command -v setsid >/dev/null 2>&1; then
    set -- setsid "$@"
  else
    set -- perl -MPOSIX -e 'POSIX::setsid(); exec {$ARGV[0]} @ARGV; die "$ARGV[0]: $!\n"' "$@"
  fi
  cd "$DIR" || exit 1
  "$@" </dev/null >jobScript.out 2>&1 &
  echo "$!" >jobScript.run/pid.tmp
  mv jobScript.run/pid.tmp jobScript.run/pid
  wait "$!"
  echo "$?" >jobScript.run/status.tmp
  mv jobScript.run/status.tmp jobScript.run/status
}

signal_script() {
  [ ! -e "$DIR/jobScript.run/status" ] || return 0
  read -r pid <"$DIR/jobScript.run/pid" && kill -s "$1" -- "-$pid"
} 2>/dev/null

# Once, whichever container is the first to be told to end.
tell_script() {
  [ -e "$DIR/jobScript.run/pid" ] && mkdir "$DIR/jobScript.run/told" && signal_script TERM
} 2>/dev/null

# Sets `code`; what is no exit code was not written.
read_code() {
  code=
  [ -f "$1" ] || return 1
  code=$(head -c 8 -- "$1" | tr -d '[:space:]')
  case $code in
  '' | *[!0-9]* | ????*) return 1 ;;
  esac
  [ "$code" -le 255 ]
}

# As long as there is no output of the container's own, the script's stands for it.
carry() {
  source=$file.out
  if [ ! -f "$source" ]; then
    [ "$kind" != init ] || return 0
    source=$DIR/jobScript.out
    [ -f "$source" ] || return 0
  fi
  size=$(wc -c <"$source") || return 0
  if [ "$source" != "$from" ] || [ "$size" -lt "$carried" ]; then from=$source carried=0; fi
  [ "$size" -gt "$carried" ] || return 0
  tail -c "+$((carried + 1))" -- "$source" | head -c "$((size - carried))"
  carried=$size
}

# Sets `code` once the container has ended. The last one ends with the script: what a script does after its containers,
# such as bringing results away, belongs to the pod.
is_over() {
  read_code "$file.status" || code=
  case $kind in
  init)
    if [ -z "$code" ] && { [ "$ended" ] || has_begun_mains; }; then code=0; fi
    [ "$code" ] && { [ "$code" = 0 ] || [ "$ended" ]; }
    ;;
  sidecar)
    code=${code:-0}
    [ "$told" ]
    ;;
  main)
    code=${code:-$ended}
    [ "$code" ]
    ;;
  last)
    code=${code:-$ended}
    [ "$ended" ]
    ;;
  esac
}

has_begun_mains() {
  for begun in "$DIR"/run-*.out "$DIR"/run-*.status; do
    [ ! -e "$begun" ] || return 0
  done
  return 1
}

follow() {
  case $kind in init) file=$DIR/init-$container ;; *) file=$DIR/run-$container ;; esac
  from='' carried=0 told='' ended=''
  trap 'told=1' TERM
  while :; do
    # Before the files, which are complete once the script has ended.
    if read_code "$DIR/jobScript.run/status"; then ended=$code; fi
    carry
    is_over && exit "$code"
    [ -z "$told" ] || [ "$kind" = sidecar ] || tell_script
    sleep 1
  done
}

mode=$1 DIR=$2
case $mode in
run) run ;;
end) signal_script KILL ;;
follow)
  container=$3 kind=$4
  follow
  ;;
esac
