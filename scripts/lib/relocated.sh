# shellcheck shell=sh
# To be sourced: programs of a Debian suite, with the libraries that they were built for, in a directory of their own.
# They run beside what the system has, see the machine as it is, and start what is the machine's. Root is not needed;
# Debian's apt is.

# relocated_prefix NAME FILE…   sets prefix: where the tree is once it is there, another one after the files changed
relocated_prefix() {
  name=$1
  shift
  if [ -z "${INTERLINK_CACHE:-}" ]; then
    if [ "$(id -u)" = 0 ]; then
      INTERLINK_CACHE=/var/cache/interlink-ts
    else
      INTERLINK_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/interlink-ts
    fi
  fi
  prefix=$INTERLINK_CACHE/$name-$(cat "$@" | sha256sum | cut -c1-12)
}

# relocated_fetch SUITE OWN PACKAGE…   sets work, which goes with this shell; packages whose files' names match the
# pattern OWN are unpacked in $work/own, libraries in $work/rest; $work/made is empty, for what will be the prefix
relocated_fetch() {
  suite=$1
  own=$2
  shift 2
  mkdir -p "$INTERLINK_CACHE"
  work=$(mktemp -d "$INTERLINK_CACHE/${name%%[!a-z]*}.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  # shellcheck disable=SC2154
  sh "$scripts/apt-suite.sh" "$suite" "$work" install -y --no-install-recommends --download-only patchelf "$@" >&2
  for package in "$work"/cache/archives/*.deb; do
    # shellcheck disable=SC2254
    case ${package##*/} in
    $own) dpkg-deb -x "$package" "$work/own" ;;
    lib* | zlib* | patchelf*) dpkg-deb -x "$package" "$work/rest" ;;
    esac
  done
  mkdir -p "$work/made/lib"
  mv "$work"/rest/usr/lib/*-linux-gnu*/*.so* "$work/made/lib/"
}

# relocated_link RPATH FILE…   has those programs of $work/made find their libraries in $prefix/lib after RPATH
relocated_link() {
  rpath=$1
  shift
  loader=$(cd "$work/made/lib" && echo ld-linux*.so.*)
  # Not by LD_LIBRARY_PATH: jobs would inherit it.
  "$work/made/lib/$loader" --library-path "$work/made/lib" "$work/rest/usr/bin/patchelf" \
    --set-interpreter "$prefix/lib/$loader" --force-rpath --set-rpath "${rpath:+$rpath:}$prefix/lib" "$@"
}

# relocated_keep COMMAND…   moves $work/made to $prefix, where COMMAND must succeed
relocated_keep() {
  # Another run may have been faster.
  mv -T "$work/made" "$prefix" 2>/dev/null || [ -d "$prefix" ]
  "$@" >/dev/null || {
    rm -rf "$prefix"
    exit 1
  }
}
