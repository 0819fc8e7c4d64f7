#!/bin/sh
# The first process of a pod's instance, once it has its job: runs it, and stays until what it has written was read, for
# half a minute at most. An instance that is started once more finds that the job has run.
# `oci`: the image is of a registry, its variables are those that are set, and Incus has seen to the network.
job=/.interlink
umask 077
if [ "${1:-}" = oci ]; then
  unset PWD OLDPWD SHLVL TERM container CREDENTIALS_DIRECTORY
  export -p >"$job/image.env"
  PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  export PATH
fi
echo $$ >"$job/init.pid"
cd "$job" || exit 1
read -r name <hostname
hostname "$name"
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null
for interface in /sys/class/net/eth*; do
  if [ ! -e "$interface" ] || [ "${1:-}" = oci ]; then continue; fi
  interface=${interface##*/}
  ip link set "$interface" up 2>/dev/null || ifconfig "$interface" up
  if command -v udhcpc; then
    udhcpc -i "$interface" -b -s "$job/address.sh"
  elif command -v dhclient; then
    dhclient "$interface"
  elif command -v dhcpcd; then
    dhcpcd -b "$interface"
  fi
done >/dev/null 2>&1 </dev/null
# How many were killed for lack of memory is said in the control group of the instance. Nobody waits for that.
{
  mkdir -p group
  if mount -t cgroup2 none group 2>/dev/null && [ -e group/memory.events ]; then
    ln -sf group/memory.events memory.events
  elif mount -t cgroup -o memory none group 2>/dev/null; then
    ln -sf "group$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/memory.oom_control" memory.events
  fi
} &
. ./run.sh
seconds=0
while [ "$seconds" -lt 30 ]; do
  sleep 1
  seconds=$((seconds + 1))
done
