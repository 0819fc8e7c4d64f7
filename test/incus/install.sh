#!/bin/sh
# install.sh        installs Incus 6.0, which Debian 12 has in its backports, where it is missing; needs root
# install.sh path   prints where its daemon is then
# The system's package lists and sources stay as they are.
set -eu
daemon=/usr/libexec/incus/incusd
if [ "${1:-}" = path ] || { [ -x "$daemon" ] && [ -x /usr/bin/btrfs ]; }; then
  echo "$daemon"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
mkdir -p "$work/parts" "$work/lists/partial" "$work/archives/partial"
[ ! -e /etc/apt/sources.list ] || cp /etc/apt/sources.list "$work/parts/system.list"
find /etc/apt/sources.list.d -type f -exec cp {} "$work/parts" \;
mirror=$(cat "$work"/parts/* | sed -nE 's/^(URIs:|deb( \[[^]]*\])?)[[:space:]]+([^[:space:]]+).*/\3/p' | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
suite=bookworm-backports
echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} $suite main" >"$work/parts/backports.list"
apt() {
  apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache::archives="$work/archives" -o Dir::Cache::pkgcache= \
    -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 "$@"
}
export DEBIAN_FRONTEND=noninteractive
apt update >&2
# What starts services of its own is told not to: tests start theirs.
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -rf "$work" /usr/sbin/policy-rc.d' EXIT
fi
apt install -y --no-install-recommends "incus-base/$suite" "incus-client/$suite" dnsmasq-base lxcfs btrfs-progs >&2
echo "$daemon"
