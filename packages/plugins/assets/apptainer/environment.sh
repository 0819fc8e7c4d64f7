#!/bin/sh
# Read by the shell that Apptainer has built in, in front of every command of a container, after the environment of
# the image and of the pod. INTERLINK_HOME: the pod's HOME, which Apptainer does not take as a variable.
# INTERLINK_CHECK: says in words why a command cannot be started, with the codes of a shell.
if [ "${INTERLINK_HOME+x}" ]; then
  export HOME="$INTERLINK_HOME"
  unset INTERLINK_HOME
fi
if [ "${INTERLINK_CHECK+x}" ]; then
  unset INTERLINK_CHECK
  case $1 in
  */*)
    if [ ! -e "$1" ]; then
      printf '%s' "exec: \"$1\": no such file or directory" >/.interlink/fail
      exit 127
    fi
    if [ -d "$1" ] || [ ! -x "$1" ]; then
      printf '%s' "exec: \"$1\": permission denied" >/.interlink/fail
      exit 126
    fi
    ;;
  *)
    if ! command -v -- "$1" >/dev/null 2>&1; then
      printf '%s' "exec: \"$1\": executable file not found in \$PATH" >/.interlink/fail
      exit 127
    fi
    ;;
  esac
fi
