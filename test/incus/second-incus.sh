#!/bin/sh
# second-incus.sh        prepares the tree of Incus 7.0, which is Debian 14's, where it is missing, and prints where it is
# second-incus.sh path   prints that place without preparing it
# The tree is a root file system of its own, see enter-tree.sh: Incus finds what it starts by Debian's paths. Needs root.
set -eu
cd "$(dirname "$0")"
scripts=../../scripts/lib
# shellcheck source=scripts/lib/relocated.sh
. "$scripts/relocated.sh"

# shellcheck disable=SC2154
relocated_prefix incus-7.0 second-incus.sh enter-tree.sh
if [ "${1:-}" = path ] || [ -d "$prefix" ]; then
  echo "$prefix"
  exit 0
fi

mkdir -p "$INTERLINK_CACHE"
work=$(mktemp -d "$INTERLINK_CACHE/incus.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# Mirrors may be of an earlier day.
echo 'Acquire::Check-Valid-Until "false";' >"$work/apt.conf"
APT_CONFIG=$work/apt.conf sh "$scripts/apt-suite.sh" forky "$work" install -y --no-install-recommends --download-only \
  base-files bash btrfs-progs coreutils dash dnsmasq-base findutils grep gzip incus-base incus-client iproute2 kmod \
  mount sed skopeo tar umoci util-linux >&2
made=$work/made
mkdir "$made"
unpack() {
  dpkg-deb --fsys-tarfile "$1" |
    tar -xC "$made" --keep-directory-symlink --exclude='./usr/share/man/*' --exclude='./usr/share/doc/*' \
      --exclude='./usr/share/locale/*'
}
# Where /bin and its kin are links.
unpack "$work"/cache/archives/base-files_*.deb
for package in "$work"/cache/archives/*.deb; do
  case ${package##*/} in
  base-files_*) ;;
  *) unpack "$package" ;;
  esac
done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$made/etc/passwd"
printf 'root:x:0:\n' >"$made/etc/group"
for kind in subuid subgid; do echo root:1000000:1000000000 >"$made/etc/$kind"; done
: >"$made/etc/resolv.conf"
mkdir -p "$made/.outside"
# OCI images came with 6.3, what their containers run became settings of the instance with 6.12.
version=$(sh enter-tree.sh "$made" /usr/libexec/incus/incusd --version)
case $version in
[0-5].* | 6.[0-9] | 6.[0-9].* | 6.1[01] | 6.1[01].*)
  echo "Debian has Incus $version, and 6.12 is the first that the tests run with" >&2
  exit 1
  ;;
esac
echo "Incus $version" >&2
relocated_keep true
echo "$prefix"
