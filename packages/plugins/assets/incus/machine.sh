#!/bin/sh
# machine.sh [run]   begins the job of a pod in its virtual machine, whose own system has booted, and leaves it running:
# once, however often it is asked to. Why it cannot is said on standard error.
job=/.interlink
umask 077
cd "$job" || exit 1
if [ "${1-}" = run ]; then
  mkdir begun 2>/dev/null || exit 0
  cat hostname >/proc/sys/kernel/hostname
  # A control group of its own: the agent may be started anew without ending the job, and it counts who was killed for
  # lack of memory.
  group=/sys/fs/cgroup/interlink
  if [ -e /sys/fs/cgroup/cgroup.controllers ] && mkdir -p "$group" && echo $$ >"$group/cgroup.procs"; then
    [ ! -e "$group/memory.events" ] || ln -sf "$group/memory.events" memory.events
  fi
  . ./run.sh
  exit 0
fi
[ ! -e begun ] || exit 0
for program in tar mount unshare nsenter setsid; do
  command -v "$program" >/dev/null || { echo "its image has no $program" >&2 && exit 1; }
done
if [ -e job.tar ]; then
  tar -xf job.tar && rm -f job.tar || exit 1
fi
if [ -e cloud-init ]; then
  command -v cloud-init >/dev/null || { echo 'its image has no cloud-init' >&2 && exit 1; }
  # 2: something was passed over, and the rest was done.
  cloud-init status --wait >/dev/null 2>&1
  case $? in
  0 | 2) ;;
  *)
    echo "cloud-init has failed: $(cloud-init status --long | tail -n 5)" >&2
    exit 1
    ;;
  esac
fi
# Incus adds a language to what it runs; in a container there is none.
unset LANG
setsid sh machine.sh run </dev/null >/dev/null 2>&1 &
until [ -e begun ]; do sleep 0.1 2>/dev/null || sleep 1; done
