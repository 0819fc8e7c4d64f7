#!/bin/sh
# Read by the shell that Apptainer has built in, in front of every command of a container, after the environment of
# the image and of the pod. INTERLINK_HOME: the pod's HOME, which Apptainer does not take as a variable.
# INTERLINK_CHECK: says in words why a command cannot be started, with the codes of a shell. The words are the
# container's own (`start`) or those of a further command (`enter`).
if [ "${INTERLINK_HOME+x}" ]; then
  export HOME="$INTERLINK_HOME"
  unset INTERLINK_HOME
fi
if [ "${INTERLINK_CHECK+x}" ]; then
  interlink_cannot() {
    if [ "$INTERLINK_CHECK" = start ]; then printf '%s' "exec: \"$2\": $3" >/.interlink/fail; else printf '%s\n' "exec: \"$2\": $3" >&2; fi
    exit "$1"
  }
  case $1 in
  */*)
    [ -e "$1" ] || interlink_cannot 127 "$1" 'no such file or directory'
    if [ -d "$1" ] || [ ! -x "$1" ]; then interlink_cannot 126 "$1" 'permission denied'; fi
    ;;
  *) command -v -- "$1" >/dev/null 2>&1 || interlink_cannot 127 "$1" 'executable file not found in $PATH' ;;
  esac
  unset INTERLINK_CHECK
  unset -f interlink_cannot
fi
