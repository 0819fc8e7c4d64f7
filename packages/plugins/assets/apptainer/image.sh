#!/bin/sh
# Says where the image of a container is, having pulled it into the cache where it was not there.
#
#   image.sh DIR CONTAINER TOOL IMAGE POLICY
#
# DIR/images.conf: `cache`, its `limit` in bytes, `cvmfs` (a directory of unpacked images), `patience` in seconds,
# `auth` (a docker config file with credentials, which reach no command line), `elsewhere` (1: images are pulled
# where jobs are submitted, by this program with INTERLINK_PULLING=1; jobs only wait for them).
# DIR/c/CONTAINER/pulling: that has begun; pulled: has ended well; pull.error: why it has failed.
#
#   CACHE/sif/DIGEST.sif   an image, made under another name and renamed; its time is that of its last use
#   CACHE/ref/HASH         a reference's latest DIGEST
#   CACHE/lock/DIGEST/     held by who pulls it, its time renewed while it does
#
# POSIX sh. Runs in a job or where jobs are submitted, on any number of machines at once.
set -u
umask 077

dir=$1 name=$2 tool=$3 image=$4 policy=$5
own=$dir/c/$name
cache=$HOME/.interlink/images limit='' cvmfs='' auth='' patience=3600 elsewhere=''
# shellcheck source=/dev/null
[ ! -f "$dir/images.conf" ] || . "$dir/images.conf"
[ -z "${INTERLINK_PULLING:-}" ] || { elsewhere='' && : >"$own/pulling"; }

fail() {
  printf '%s\n' "$1" >&2
  [ -z "${INTERLINK_PULLING:-}" ] || { printf '%s\n' "$1" >"$own/pull.error.tmp" && mv -f "$own/pull.error.tmp" "$own/pull.error"; }
  exit 1
}

hash_of() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
is_stale() { [ "$(find "$1" -maxdepth 0 -mmin "+$2" 2>/dev/null)" ]; }

# A name of its own for the image, so that it stays when the cache lets go of it.
hand_over() {
  touch "$1" 2>/dev/null
  rm -f "$own/image.sif"
  if ln "$1" "$own/image.sif" 2>/dev/null; then found=$own/image.sif; else found=$1; fi
  set_directory "$1"
  [ -z "${INTERLINK_PULLING:-}" ] || : >"$own/pulled"
  printf '%s\n' "$found"
  exit 0
}

# WORKDIR of the OCI configuration that came with the image; Apptainer keeps it and does not use it.
set_directory() {
  [ -e "$1.pwd" ] || return 0
  cp "$1.pwd" "$own/image.pwd" 2>/dev/null
}

read_directory() {
  for id in 2 3 4 5; do
    case $("$tool" --silent sif dump "$id" "$1" 2>/dev/null </dev/null | head -c 100000 | tr -d '\0') in
    '{"data"'*) ;;
    *'"WorkingDir":"'*)
      "$tool" --silent sif dump "$id" "$1" | sed -n 's/.*"WorkingDir":"\(\/[^"\\]*\)".*/\1/p' >"$2"
      return
      ;;
    esac
  done
}

# docker://[HOST/]REPOSITORY[:TAG] as `registry`, `repository`, `tag`.
split_reference() {
  rest=${1#docker://}
  case $rest in
  */*) registry=${rest%%/*} ;;
  *) registry= ;;
  esac
  case $registry in
  *.* | *:* | localhost) rest=${rest#*/} ;;
  *)
    registry='registry-1.docker.io'
    case $rest in */*) ;; *) rest=library/$rest ;; esac
    ;;
  esac
  case ${rest##*/} in
  *:*) tag=${rest##*:} repository=${rest%:*} ;;
  *) tag=latest repository=$rest ;;
  esac
}

# What is asked of a registry goes through curl's standard input, with whatever it holds.
ask() {
  printf '%s\n' "$2" | curl --silent --show-error --max-time 30 --location --config - "$1" 2>/dev/null
}

credentials() {
  [ -f "$auth" ] || return 0
  tr -d ' \t\n\r' <"$auth" |
    sed -n "s|.*\"\(https://\)\{0,1\}$(printf %s "$1" | sed 's/[.[\*^$|]/\\&/g')\(/v[12]/\{0,1\}\)\{0,1\}\":{[^}]*\"auth\":\"\([A-Za-z0-9+/=]*\)\".*|\3|p"
}

# The digest that a tag of a registry stands for now; nothing where it cannot be learnt.
resolve() {
  case $1 in
  *@sha256:*)
    printf %s "${1##*@}"
    return
    ;;
  docker://*) ;;
  *) return ;;
  esac
  command -v curl >/dev/null 2>&1 || return
  split_reference "$1"
  url=https://$registry/v2/$repository/manifests/$tag
  [ "${APPTAINER_NOHTTPS:-}" ] && url=http${url#https}
  accept='header = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"'
  login=$(credentials "$registry")
  [ "$login" ] && login="
header = \"Authorization: Basic $login\""
  answer=$(ask "$url" "head
$accept$login")
  bearer=$(printf %s "$answer" | tr -d '\r' | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: [Bb]earer //p' | tail -n 1)
  if [ "$bearer" ]; then
    realm=$(printf %s "$bearer" | sed -n 's/.*realm="\([^"]*\)".*/\1/p')
    service=$(printf %s "$bearer" | sed -n 's/.*service="\([^"]*\)".*/\1/p')
    token=$(ask "$realm?service=$service&scope=repository:$repository:pull" "silent$login" |
      sed -n 's/.*"\(access_\)\{0,1\}token" *: *"\([^"]*\)".*/\2/p')
    answer=$(ask "$url" "head
$accept
header = \"Authorization: Bearer $token\"")
  fi
  printf %s "$answer" | tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: \(sha256:[0-9a-f]\{64\}\)$/\1/p' | tail -n 1
}

pull() {
  part=$cache/tmp/$digest.$$.$(hostname)
  from=$image
  case $digest in
  sha256:*) case $image in *@*) ;; *) split_reference "$image" && from=docker://$registry/$repository@$digest ;; esac ;;
  esac
  mkdir -p "$part"
  (
    while sleep 20 && kill -0 $$ 2>/dev/null && [ -d "$part" ]; do touch "$lock"; done
  ) >/dev/null 2>&1 </dev/null &
  beat=$!
  if [ -f "$auth" ]; then
    mkdir "$part/config"
    ln -s "$auth" "$part/config/docker-config.json"
    export APPTAINER_CONFIGDIR="$part/config" SINGULARITY_CONFIGDIR="$part/config"
  fi
  APPTAINER_CACHEDIR=$part/cache APPTAINER_TMPDIR=$part SINGULARITY_CACHEDIR=$part/cache SINGULARITY_TMPDIR=$part \
    "$tool" --silent pull "$part/image.sif" "$from" </dev/null >&2
  code=$?
  kill "$beat" 2>/dev/null
  if [ "$code" = 0 ]; then
    read_directory "$part/image.sif" "$part/pwd" 2>/dev/null
    [ ! -s "$part/pwd" ] || mv -f "$part/pwd" "$file.pwd"
    mv -f "$part/image.sif" "$file"
  fi
  chmod -R u+rwx "$part" 2>/dev/null
  rm -rf "$part"
  return "$code"
}

# The least recently used go until the rest is within the limit. Jobs keep what they use by a name of their own.
make_room() {
  [ "$limit" ] || return 0
  find "$cache/tmp" -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf {} + 2>/dev/null
  sum=0
  # Names are digests: nothing in them is special.
  # shellcheck disable=SC2010
  ls -1t "$cache/sif" | grep '\.sif$' | while read -r entry; do
    size=$(wc -c <"$cache/sif/$entry") || continue
    sum=$((sum + size))
    [ "$sum" -le "$limit" ] || [ "$cache/sif/$entry" = "$file" ] ||
      rm -f "$cache/sif/$entry" "$cache/sif/$entry.pwd"
  done
}

case $image in
/*)
  [ -e "$image" ] || fail "ErrImagePull: $image is not there on $(hostname)"
  rm -f "$own/image.pwd"
  if [ -d "$image" ] && [ ! -e "$image/.singularity.d/actions" ]; then
    # A directory that no Apptainer has unpacked lacks what an instance is started by.
    [ -f "$own/image.sif" ] || "$tool" --silent build "$own/image.sif" "$image" </dev/null >&2 || fail "ErrImagePull: $image cannot be read"
    image=$own/image.sif
  fi
  printf '%s\n' "$image"
  exit 0
  ;;
esac

rm -f "$own/image.pwd"
case $image in
docker://*)
  unpacked=$cvmfs/${image#docker://}
  if [ "$cvmfs" ] && [ -d "$unpacked" ]; then
    printf '%s\n' "$unpacked"
    exit 0
  fi
  ;;
esac

mkdir -p "$cache/sif" "$cache/ref" "$cache/lock" "$cache/tmp" || fail "ErrImagePull: no room for images in $cache"
alias=$cache/ref/$(hash_of "$image")
digest=
if [ "$policy" != Always ] || [ "$elsewhere" ]; then
  [ -f "$alias" ] && read -r digest <"$alias"
  [ "$digest" ] && [ -f "$cache/sif/${digest#sha256:}.sif" ] && [ "$policy" != Always ] && hand_over "$cache/sif/${digest#sha256:}.sif"
  [ "$policy" = Never ] && fail "ErrImageNeverPull: $image is not in the cache and its pull policy is Never"
fi
if [ -z "$elsewhere" ]; then digest=$(resolve "$image"); fi
[ "$digest" ] || digest=ref-$(hash_of "$image")
file=$cache/sif/${digest#sha256:}.sif
lock=$cache/lock/${digest#sha256:}

waited=0
while :; do
  case $digest:$policy in
  # Only who pulls asks the registry.
  *:Always) [ -z "$elsewhere" ] || [ -e "$own/pulled" ] || digest=unknown ;;
  esac
  case $digest:$policy in
  unknown:*) ;;
  # What cannot be told by a digest is pulled anew where that is asked for.
  ref-*:Always) [ "$waited" -gt 0 ] && [ -f "$file" ] && hand_over "$file" ;;
  *)
    if [ -f "$file" ]; then
      printf '%s\n' "$digest" >"$alias.$$" && mv -f "$alias.$$" "$alias"
      hand_over "$file"
    fi
    ;;
  esac
  if [ "$elsewhere" ]; then
    if [ "$policy" != Always ] || [ -e "$own/pulled" ]; then
      [ -f "$alias" ] && read -r digest <"$alias" && file=$cache/sif/${digest#sha256:}.sif
      [ -f "$file" ] && hand_over "$file"
    fi
    [ ! -s "$own/pull.error" ] || fail "$(cat "$own/pull.error")"
    # Who should have begun has not: its plugin has ended in between.
    if [ "$waited" -ge 60 ] && [ ! -e "$own/pulling" ]; then
      elsewhere='' digest=$(resolve "$image")
      [ "$digest" ] || digest=ref-$(hash_of "$image")
      file=$cache/sif/${digest#sha256:}.sif lock=$cache/lock/${digest#sha256:}
    fi
  elif mkdir "$lock" 2>/dev/null; then
    trap 'rmdir "$lock" 2>/dev/null; exit 143' TERM INT HUP
    pull 2>"$own/pull.said"
    code=$?
    rmdir "$lock"
    trap - TERM INT HUP
    [ "$code" = 0 ] || fail "ErrImagePull: $image: $(tail -n 3 "$own/pull.said" | cut -c 1-1000)"
    printf '%s\n' "$digest" >"$alias.$$" && mv -f "$alias.$$" "$alias"
    make_room
    hand_over "$file"
  elif is_stale "$lock" 2; then
    mv "$lock" "$lock.$$" 2>/dev/null && rmdir "$lock.$$"
  fi
  [ "$waited" -lt "$patience" ] || fail "ErrImagePull: $image was not there after $patience s"
  sleep 1
  waited=$((waited + 1))
done
