#!/bin/sh
# Lays out the file system that a container sees, in the mount namespace it is started in, and becomes COMMAND.
#
#   isolate.sh DIR CONTAINER STEP... -- COMMAND...
#
# A STEP is a word and its arguments; every PATH is inside the new root, absolute, and resolved beforehand:
#   host                        the root is the machine's own file system
#   point SOURCE PATH           before `image`: where SOURCE will be bound, if its directory belongs to somebody else
#   image DIRECTORY             the root is an unpacked image, under a layer that lives as long as the container
#   rebuild MODE PATH           a directory of its own in the place of PATH, with the same entries, so that more can be added
#   devices                     the same for /dev
#   bind SOURCE PATH            SOURCE, a file or directory, appears at PATH
#   sub VOLUME SUBPATH PATH     a part of VOLUME appears at PATH; a directory is made where there is none
#   directory PATH | file PATH  made where there is none
#   readonly PATH               the mount at PATH
#   readonly-root PATH          every mount but those of /dev, /proc and /sys, and those bound; the directory PATH, if any, stays writable
#   hostname NAME
#   pivot                       the new root becomes the root of the namespace
#
# POSIX sh. Nothing here is evaluated; what a pod says is only ever an argument.
set -u
umask 022
PATH=${PATH:-/bin}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export PATH
IFS=' '

dir=$1 name=$2
shift 2
root=$dir/c/$name/root
kept=$dir/c/$name/kept
layers=$dir/c/$name/layers

fail() {
  printf %s "$1" >"$dir/run/$name.fail"
  printf '%s\n' "$1" >&2
  exit 128
}

# Runs a step's command; its own words say what went wrong.
try() {
  said=$("$@" 2>&1) || fail "the container's file system cannot be made: $said"
}

# Makes an entry of the same kind as SOURCE at TARGET, where there is none.
make_point() {
  if [ -d "$1" ]; then
    [ -d "$2" ] || try mkdir -p "$2"
  elif [ -e "$1" ]; then
    [ -e "$2" ] && return
    [ -d "${2%/*}" ] || try mkdir -p "${2%/*}"
    : >"$2" || fail "cannot make ${2#"$root"}"
  else
    fail "volume source $1 is not there"
  fi
}

# Every entry of DIRECTORY appears in TARGET, which is empty.
copy_entries() {
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    target=$2/${entry##*/}
    if [ -L "$entry" ]; then
      try cp -P "$entry" "$target"
    elif [ -d "$entry" ]; then
      # A directory that cannot be bound (a dead network mount) is left out.
      mkdir "$target" && mount --rbind "$entry" "$target" 2>/dev/null
    elif [ -e "$entry" ]; then
      : >"$target" && mount --bind "$entry" "$target" 2>/dev/null
    fi
  done
}

rebuild() {
  try mount -t tmpfs -o "mode=$1" tmpfs "$root${2%/}"
  copy_entries "${2%/}" "$root${2%/}"
}

# Links cost one process for all of them; device files are the same through a link.
devices() {
  try mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  try mkdir "$root/dev/.machine"
  try mount --rbind /dev "$root/dev/.machine"
  set --
  for entry in /dev/* /dev/.[!.]*; do
    case ${entry##*/} in fd | stdin | stdout | stderr | .machine) continue ;; esac
    [ -e "$entry" ] || [ -L "$entry" ] && set -- "$@" ".machine/${entry##*/}"
  done
  try ln -s "$@" "$root/dev/"
  try ln -s /proc/self/fd "$root/dev/fd"
  try ln -s /proc/self/fd/0 "$root/dev/stdin"
  try ln -s /proc/self/fd/1 "$root/dev/stdout"
  try ln -s /proc/self/fd/2 "$root/dev/stderr"
}

image() {
  # They hide what the image has of these names: links would be followed from the machine's root.
  try mkdir -p "$layers/work" "$layers/upper/proc" "$layers/upper/sys" "$layers/upper/dev"
  lower=$(printf %s "$1" | sed 's/[\\:,]/\\&/g')
  upper=$(printf %s "$layers" | sed 's/[\\:,]/\\&/g')
  layered=lowerdir=$lower,upperdir=$upper/upper,workdir=$upper/work
  # Without root, a directory of the image that was removed can only be made again with user.* attributes.
  mount -t overlay -o "$layered,userxattr" overlay "$root" 2>/dev/null ||
    try mount -t overlay -o "$layered" overlay "$root"
  for part in proc sys; do
    try mount --rbind "/$part" "$root/$part"
  done
}

bind() {
  make_point "$1" "$root$2"
  try mount --rbind "$1" "$root$2"
  printf '%s\n' "$2" >>"$kept"
}

# A link that the pod has made must not lead out of the volume, nor a directory be made behind it.
sub() {
  inside=$(readlink -f "$1") || fail "volume source $1 is not there"
  real=$inside rest=$2/
  while [ "$rest" ]; do
    part=${rest%%/*} rest=${rest#*/}
    [ -e "$real/$part" ] || mkdir "$real/$part" || fail "subPath $2 cannot be made in its volume"
    real=$(readlink -f "$real/$part") || fail "subPath $2 cannot be resolved"
    case $real in
    "$inside"/*) ;;
    *) fail "subPath $2 leaves its volume" ;;
    esac
  done
  bind "$real" "$3"
}

# mountinfo writes space, tab, newline and backslash as octal numbers.
readonly_root() {
  if [ "$1" ]; then
    try mount --bind "$1" "$root$1"
    printf '%s\n' "$1" >>"$kept"
  fi
  while read -r _ _ _ _ point _; do
    point=$(printf %b "$(printf %s "$point" | sed 's/\\\([0-7]\{3\}\)/\\0\1/g')")
    case $point in
    "$root" | "$root"/*) ;;
    *) continue ;;
    esac
    case ${point#"$root"} in
    /dev | /dev/* | /proc | /proc/* | /sys | /sys/*) continue ;;
    esac
    while read -r path; do
      case ${point#"$root"} in "$path" | "$path"/*) continue 2 ;; esac
    done <"$kept"
    mount -o remount,bind,ro "$point" 2>/dev/null
  done </proc/self/mountinfo
}

try mkdir -p "$root"
: >"$kept"
chmod -R u+rwx "$layers" 2>/dev/null
try rm -rf "$layers"
ln -sfn "/proc/$$" "$dir/c/$name/proc" || fail 'the container cannot be named'
while [ $# -gt 0 ]; do
  step=$1
  shift
  case $step in
  host) try mount --rbind / "$root" ;;
  point) if [ -e "$1" ]; then make_point "$1" "$layers/upper$2"; else try mkdir -p "$layers/upper$2"; fi && shift 2 ;;
  image) image "$1" && shift ;;
  rebuild) rebuild "$1" "$2" && shift 2 ;;
  devices) devices ;;
  bind) bind "$1" "$2" && shift 2 ;;
  sub) sub "$1" "$2" "$3" && shift 3 ;;
  directory) try mkdir -p "$1" && shift ;;
  file) [ -e "$1" ] || { mkdir -p "${1%/*}" && : >"$1"; } || fail "cannot make $1"; shift ;;
  readonly) try mount -o remount,bind,ro "$root$1" && shift ;;
  readonly-root) readonly_root "$1" && shift ;;
  hostname)
    hostname "$1" 2>/dev/null || fail "the host name cannot be set"
    shift
    ;;
  pivot)
    cd "$root" || fail 'the root cannot be entered'
    # A job directory below the new root is still where the scripts look for it.
    try pivot_root . .
    try umount -l .
    cd /
    ;;
  --) break ;;
  *) fail "no such step: $step" ;;
  esac
done
cd /
exec "$@"
