#!/bin/sh
# second-slurm.sh        prepares Slurm 24.11 where it is missing, and prints its prefix
# second-slurm.sh path   prints that prefix without preparing it
# It is Debian 13's, with the libraries that it was built for, in a directory of its own: the programs run beside the
# system's Slurm, see the machine as it is, and start what is the machine's. Root is not needed; Debian's apt is.
set -eu
cd "$(dirname "$0")"

suite=trixie
if [ -z "${INTERLINK_CACHE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then
    INTERLINK_CACHE=/var/cache/interlink-ts
  else
    INTERLINK_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/interlink-ts
  fi
fi
prefix=$INTERLINK_CACHE/slurm-24.11-$(sha256sum <second-slurm.sh | cut -c1-12)
if [ "${1:-}" = path ] || [ -d "$prefix" ]; then
  echo "$prefix"
  exit 0
fi

mkdir -p "$INTERLINK_CACHE"
work=$(mktemp -d "$INTERLINK_CACHE/slurm.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
sh ../../scripts/lib/apt-suite.sh "$suite" "$work" install -y --no-install-recommends --download-only patchelf \
  slurmctld slurmd slurmdbd slurm-client slurm-wlm-basic-plugins slurm-wlm-mysql-plugin >&2
for package in "$work"/cache/archives/*.deb; do
  case ${package##*/} in
  slurm*) dpkg-deb -x "$package" "$work/slurm" ;;
  lib* | zlib* | patchelf*) dpkg-deb -x "$package" "$work/rest" ;;
  esac
done

# As `./configure --prefix` would have it.
made=$work/made
mkdir -p "$made/lib"
mv "$work"/slurm/usr/bin "$work"/slurm/usr/sbin "$made/"
mv "$work"/slurm/usr/lib/*/slurm-wlm "$made/lib/slurm"
mv "$work"/rest/usr/lib/*-linux-gnu*/*.so* "$made/lib/"
for daemon in "$made"/sbin/*-wlm; do mv "$daemon" "${daemon%-wlm}"; done
loader=$(cd "$made/lib" && echo ld-linux*.so.*)
# Not by LD_LIBRARY_PATH: jobs would inherit it.
"$made/lib/$loader" --library-path "$made/lib" "$work/rest/usr/bin/patchelf" --set-interpreter "$prefix/lib/$loader" \
  --force-rpath --set-rpath "$prefix/lib/slurm:$prefix/lib" "$made"/bin/* "$made"/sbin/*
# Another run may have been faster.
mv -T "$made" "$prefix" 2>/dev/null || [ -d "$prefix" ]
"$prefix/sbin/slurmctld" -V >/dev/null || {
  rm -rf "$prefix"
  exit 1
}
echo "$prefix"
