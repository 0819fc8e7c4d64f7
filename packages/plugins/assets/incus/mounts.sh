#!/bin/sh
# mounts.sh {rw|ro SOURCE TARGET}... -- COMMAND...   in a mount namespace of its own: puts each source, a file or a
# directory, over its target, which is made where it is missing, and becomes the command.
set -eu
umask 022
while [ "$1" != -- ]; do
  how=$1 source=$2 target=$3
  shift 3
  if [ -d "$source" ]; then
    mkdir -p -- "$target"
  elif [ ! -e "$target" ]; then
    mkdir -p -- "${target%/*}/"
    : >"$target"
  fi
  mount --bind -- "$source" "$target"
  [ "$how" = rw ] || mount -o remount,ro,bind -- "$target"
done
shift
exec "$@"
