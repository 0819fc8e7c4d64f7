#!/bin/sh
# The first process of a pod's instance: unpacks the job, runs it, and stays until what it has written was read, for half
# a minute at most. An instance that is started once more finds that the job has run.
job=/.interlink
umask 077
cd "$job" || exit 1
if [ -e job.tar ]; then
  tar -xf job.tar && rm -f job.tar || exit 1
fi
hostname "$(cat hostname)"
while read -r volume size; do
  mount -t tmpfs -o "mode=0777${size:+,size=$size}" tmpfs "volumes/$volume"
done <memory-volumes 2>/dev/null
sh job.sh &
supervisor=$!
trap 'kill -s TERM "$supervisor"' TERM PWR
while kill -s 0 "$supervisor" 2>/dev/null; do wait "$supervisor"; done
seconds=0
while [ "$seconds" -lt 30 ]; do
  sleep 1
  seconds=$((seconds + 1))
done
