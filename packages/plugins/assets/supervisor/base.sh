#!/bin/sh
# Runs the containers of one pod, as docs/reference/job-directory.md describes.
#
#   supervisor.sh run DIR                         the job, to its end
#   supervisor.sh start DIR CONTAINER ARGV...     becomes the first process of a container
#   supervisor.sh enter DIR CONTAINER ARGV...     becomes a further process of a container
#   supervisor.sh action DIR CONTAINER WHAT PERL PYTHON   one probe or hook, with the tools there are
#   supervisor.sh reap DIR                        kills what a dead supervisor left behind
#
# POSIX sh and Linux's /proc; runs under dash, bash and busybox ash. What a pod says is only ever data here:
# it comes from files made by one quoting function, is used in quotes and never evaluated.
# One process decides everything, in a loop that looks at facts (files, clock); children only report and wake it.

set -u
umask 077

# Known to every part: the time in milliseconds, the tools of this machine, and the processes of a container.

# /proc/uptime costs no process and does not jump; `date` only says where it stands in the epoch.
read_uptime() {
  read -r uptime _ </proc/uptime
  uptime=$((${uptime%.*} * 1000 + 1${uptime#*.}0 - 1000))
}

set_clock() {
  epoch=$(date '+%s %N')
  # Not every date knows nanoseconds.
  case ${epoch#* } in
  '' | *[!0-9]*) epoch=${epoch%% *}000 ;;
  *) epoch=${epoch%% *}${epoch##* } epoch=${epoch%??????} ;;
  esac
  read_uptime
  # Times of one job are compared with each other: only a clock that was set is worth a jump.
  drift=$((epoch - uptime - boot))
  [ "${drift#-}" -lt 1000 ] || boot=$((boot + drift))
}

tell_time() {
  read_uptime
  now=$((boot + uptime))
}

# Go's notation, as a kubelet prints it.
duration() {
  if [ "$1" -lt 60 ]; then echo "$1s"; else echo "$(($1 / 60))m$(($1 % 60))s"; fi
}

# Sets `seconds`, with a fraction, to so many milliseconds.
set_seconds() {
  seconds=$(($1 % 1000 + 1000))
  seconds=$(($1 / 1000)).${seconds#1}
}

has() { command -v "$1" >/dev/null 2>&1; }

# Asked for when they are needed: the first state is waited for. Modules are looked for and not loaded, which takes five
# times as long.
find_interpreters() {
  [ -z "$searched" ] || return 0
  searched=1
  perl -e 'for my $m (qw(POSIX Socket Time/HiRes)) { grep { -e "$_/$m.pm" } @INC or exit 1 }' >/dev/null 2>&1 && perl=perl
  [ "$perl" ] || { has python3 && python3 -c 1 >/dev/null 2>&1 && python=python3; }
}

find_tools() {
  sh=${INTERLINK_SH:-/bin/sh}
  perl= python= hertz= searched= session=
  if has setsid; then
    session=setsid
    return
  fi
  find_interpreters
  if [ "$perl" ]; then
    session='perl -MPOSIX -e POSIX::setsid();exec{$ARGV[0]}@ARGV;'
  fi
}

# The units in which /proc tells sizes and times.
find_units() {
  [ -z "$hertz" ] || return 0
  page=$(getconf PAGESIZE 2>/dev/null) || page=4096
  hertz=$(getconf CLK_TCK 2>/dev/null) || hertz=100
}

# The value of a state key: NUL dropped, backslash and newline escaped.
escape() {
  escaped=$({ tr -d '\000'; echo .; } | sed -e ':a' -e '$!{' -e 'N' -e 'ba' -e '}' -e 's/\\/\\\\/g' -e 's/\n/\\n/g')
  printf %s "${escaped%.}"
}

# Tells the supervisor to look again. Every child holds the pipe for reading too, so this never blocks or fails.
wake() { echo >&3; }

# Ends what a runtime keeps beside a container and starts without its mark: the process named in run/<container>.keeper,
# whose command line says `[<container>]`, and its children.
end_keeper() {
  [ -s "$DIR/run/$1.keeper" ] || return
  read -r keeper <"$DIR/run/$1.keeper"
  grep -qszF -- "[$1]" "/proc/$keeper/cmdline" || return
  # shellcheck disable=SC2046
  kill -s KILL $(cat "/proc/$keeper/task/"*/children 2>/dev/null) "$keeper" 2>/dev/null
}

# The processes of these containers, by the mark in their environment.
list_marked() {
  for marked in "$@"; do
    shift
    set -- "$@" -e "INTERLINK_INSTANCE=$marked.$uid"
  done
  grep -lszxF "$@" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ found _; do echo "$found"; done
}

# Kills what escaped the groups of these containers.
kill_marked() {
  for marked in "$@"; do end_keeper "$marked"; done
  list_marked "$@" | while read -r found; do kill -s KILL "$found" 2>/dev/null; done
}

# Kills what is left of a session, such as what a runtime has started beside a container in groups of their own.
kill_session() {
  grep -ls -- "^.*) [A-Za-z] [0-9]* [0-9]* $1 " /proc/[0-9]*/stat 2>/dev/null |
    while IFS=/ read -r _ _ found _; do kill -s KILL "$found" 2>/dev/null; done
}

# A child that has ended is a zombie until it is waited for.
is_alive() {
  { read -r _ _ life _ <"/proc/$1/stat"; } 2>/dev/null && [ "$life" != Z ]
}
