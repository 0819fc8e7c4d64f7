#!/bin/sh
# mounts.sh {rw|ro SOURCE SUBPATH TARGET}... -- COMMAND...   in a mount namespace of its own: puts each source, a file
# or a directory, over its target, which is made where it is missing, and becomes the command. A subpath that is not there
# becomes a directory; one that leads out of its source by a link is refused.
set -eu
umask 022
enter_volume() {
  volume=$(cd -P -- "$source" && pwd -P)
  [ -e "$source/$1" ] || mkdir -p -- "$source/$1"
  source=$(readlink -f -- "$source/$1")
  case $source/ in
  "$volume"/*) ;;
  *)
    echo "subPath $1 leads out of its volume" >&2
    exit 1
    ;;
  esac
}
while [ "$1" != -- ]; do
  how=$1 source=$2 target=$4
  [ -z "$3" ] || enter_volume "$3"
  shift 4
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
