#!/bin/sh
# enter-tree.sh TREE COMMAND…   becomes the command in TREE, a root file system beside the machine's: in a mount namespace
# of its own, with the machine's processes, devices and /tmp. By pivot_root, since who is in a chroot gets no user
# namespaces, and with the unified control groups alone, since LXC 7 takes no others.
set -eu
if [ "${1:-}" != --inside ]; then
  exec unshare --mount --propagation private sh "$0" --inside "$@"
fi
tree=$2
shift 2
mount --bind "$tree" "$tree"
for place in proc dev tmp; do mount --rbind "/$place" "$tree/$place"; done
mount -t sysfs sysfs "$tree/sys"
mount -t cgroup2 cgroup2 "$tree/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
mount --bind /etc/resolv.conf "$tree/etc/resolv.conf"
cd "$tree"
pivot_root . .outside
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec chroot . sh -c 'umount -l /.outside && cd / && exec "$@"' sh "$@"
