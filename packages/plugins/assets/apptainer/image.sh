#!/bin/sh
# Says where the image of a container is, having pulled it into the cache where it was not there.
#
#   image.sh DIR CONTAINER TOOL IMAGE POLICY
#
# DIR/images.conf: `cache`, its `limit` in bytes, `cvmfs` (a directory of unpacked images), `auth` (a docker config
# file with credentials, which reach no command line), `patience` and `retry` in seconds (how long a job waits for an
# image, and for one that could not be pulled), `elsewhere` (1: images are pulled where jobs are submitted, by this
# program with INTERLINK_PULLING=1, for as long as the job has not ended; jobs only wait for them).
# DIR/c/CONTAINER/auth.json: credentials of the pod, which come before those of `auth`; pulling: touched by who pulls
# elsewhere; pulled: that has ended well; pull.error: why it has failed.
# DIR/state/i.CONTAINER: `reason` and `message` of a kubelet; n.CONTAINER: the same of what else is to be told.
#
#   CACHE/sif/DIGEST.sif   an image, made under another name and renamed; its time is that of its last use
#   CACHE/sif/DIGEST.own   it was pulled with credentials of a pod: others have to ask the registry for it
#   CACHE/ref/HASH         the latest DIGEST of a reference, for whoever has the same credentials
#   CACHE/lock/DIGEST/     held by who pulls it, its time renewed while it does
#
# POSIX sh. Runs in a job or where jobs are submitted, on any number of machines at once.
set -u
umask 077

dir=$1 name=$2 tool=$3 image=$4 policy=$5
own=$dir/c/$name
shown=${image#docker://}
cache=$HOME/.interlink/images limit='' cvmfs='' auth='' patience=3600 retry=120 elsewhere=''
# shellcheck source=/dev/null
[ ! -f "$dir/images.conf" ] || . "$dir/images.conf"
pulling=${INTERLINK_PULLING:-}
[ -z "$pulling" ] || elsewhere=''
identity='' part=''
if [ -f "$own/auth.json" ]; then
  auth=$own/auth.json
  identity=$(sha256sum <"$auth" | cut -d ' ' -f 1)
fi

# Arguments: REASON MESSAGE
tell() { tell_in "i.$name" "$@"; }

# Arguments: FILE REASON MESSAGE
tell_in() {
  line=$(printf %s "$3" | tr -s '\n\t' '  ' | tr -d '\000-\037\177' | cut -c 1-1500 | sed 's/\\/\\\\/g')
  mkdir -p "$dir/state"
  printf 'reason=%s\nmessage=%s\n' "$2" "$line" >"$dir/state/$1.tmp" && mv -f "$dir/state/$1.tmp" "$dir/state/$1"
}

# Arguments: REASON MESSAGE. The reason is left for the supervisor.
give_up() {
  tell "$1" "$2"
  if [ "$pulling" ]; then
    printf '%s\n' "$1" "$2" >"$own/pull.error.tmp" && mv -f "$own/pull.error.tmp" "$own/pull.error"
  else
    printf %s "$1" >"$dir/run/$name.reason" 2>/dev/null
    printf '%s\n' "$2" >&2
  fi
  exit 1
}

hash_of() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
is_stale() { [ "$(find "$1" -maxdepth 0 -mmin "+$2" 2>/dev/null)" ]; }

# A name of its own for the image, so that it stays when the cache lets go of it.
hand_over() {
  touch "$1" 2>/dev/null
  rm -f "$own/image.sif" "$own/pull.error"
  if ln "$1" "$own/image.sif" 2>/dev/null; then found=$own/image.sif; else found=$1; fi
  set_directory "$1"
  tell_user "$1"
  [ -z "$pulling" ] || : >"$own/pulled"
  printf '%s\n' "$found"
  exit 0
}

# WORKDIR of the OCI configuration that came with the image; Apptainer keeps it and does not use it.
set_directory() {
  [ -e "$1.pwd" ] || return 0
  cp "$1.pwd" "$own/image.pwd" 2>/dev/null
}

# USER of that configuration: Apptainer runs everything as its caller.
tell_user() {
  [ -z "$pulling" ] && [ -s "$1.user" ] || return 0
  read -r user <"$1.user"
  case ${user%%:*} in
  '' | 0 | root | "$(id -u)" | "$(id -un)") ;;
  *) tell_in "n.$name" UserNotMapped "container $name: runs as $(id -un) (uid $(id -u)), the account of the job, and not as $user, the user of its image" ;;
  esac
}

# Arguments: SIF PREFIX. Leaves what of the OCI configuration is of use as PREFIX.pwd and PREFIX.user.
read_configuration() {
  for id in 2 3 4 5; do
    configuration=$("$tool" --silent sif dump "$id" "$1" 2>/dev/null </dev/null | head -c 100000 | tr -d '\0')
    case $configuration in
    '{"data"'*) ;;
    *'"WorkingDir":"'* | *'"User":"'*)
      printf '%s\n' "$configuration" | sed -n 's/.*"WorkingDir":"\(\/[^"\\]*\)".*/\1/p' >"$2.pwd"
      printf '%s\n' "$configuration" | sed -n 's/.*"User":"\([A-Za-z0-9_.:-]*\)".*/\1/p' >"$2.user"
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
  *@*) tag=${rest##*@} repository=${rest%@*} repository=${repository%:*} ;;
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
  case $1 in registry-1.docker.io) set -- index.docker.io ;; esac
  tr -d ' \t\n\r' <"$auth" |
    sed -n "s|.*\"\(https://\)\{0,1\}$(printf %s "$1" | sed 's/[.[\*^$|]/\\&/g')\(/v[12]/\{0,1\}\)\{0,1\}\":{[^}]*\"auth\":\"\([A-Za-z0-9+/=]*\)\".*|\3|p"
}

# The digest that a reference stands for now, to whoever has these credentials; nothing where it cannot be learnt.
resolve() {
  case $1 in
  *@sha256:*)
    if [ ! -e "$cache/sif/${1##*@sha256:}.own" ]; then
      printf %s "${1##*@}"
      return
    fi
    ;;
  esac
  case $1 in docker://*) ;; *) return ;; esac
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
  sha256:*) split_reference "$image" && from=docker://$registry/$repository@$digest ;;
  esac
  mkdir -p "$part"
  if [ -f "$auth" ]; then
    mkdir "$part/config"
    ln -s "$auth" "$part/config/docker-config.json"
    export APPTAINER_CONFIGDIR="$part/config" SINGULARITY_CONFIGDIR="$part/config"
  fi
  APPTAINER_CACHEDIR=$part/cache APPTAINER_TMPDIR=$part SINGULARITY_CACHEDIR=$part/cache SINGULARITY_TMPDIR=$part \
    "$tool" --silent --nocolor pull "$part/image.sif" "$from" </dev/null >&2
  code=$?
  if [ "$code" = 0 ]; then
    read_configuration "$part/image.sif" "$part/of" 2>/dev/null
    for kind in pwd user; do
      [ ! -s "$part/of.$kind" ] || mv -f "$part/of.$kind" "$file.$kind"
    done
    if [ "$identity" ]; then : >"${file%.sif}.own"; else rm -f "${file%.sif}.own"; fi
    mv -f "$part/image.sif" "$file"
  fi
  let_go
  return "$code"
}

let_go() {
  chmod -R u+rwx "$part" 2>/dev/null
  rm -rf "$part"
}

# Nobody needs the image any more.
is_over() { [ ! -d "$own" ] || [ -e "$dir/state/pod" ] || [ -e "$dir/stop" ]; }

# Arguments: seconds
pause() {
  rest=$1
  while [ "$rest" -gt 0 ]; do
    if [ "$pulling" ]; then
      ! is_over || exit 1
      [ $((rest % 20)) != 1 ] || touch "$own/pulling"
    fi
    sleep 1
    rest=$((rest - 1))
  done
}

beat() {
  while sleep 20 && kill -0 $$ 2>/dev/null && [ -d "$lock" ]; do
    touch "$lock"
    [ -z "$pulling" ] || touch "$own/pulling"
  done
}

# One at a time pulls an image; `why` says what has gone wrong.
fetch() {
  digest=$(resolve "$image")
  [ "$digest" ] || digest=ref-$(hash_of "$image $identity")
  file=$cache/sif/${digest#sha256:}.sif lock=$cache/lock/${digest#sha256:}
  turns=0
  while :; do
    # What cannot be told by a digest is pulled anew where that is asked for, but once for all that wait.
    case $digest:$policy:$turns in
    ref-*:Always:0) ;;
    *)
      if [ -f "$file" ]; then
        # A digest in the image's name was taken for granted; another's credentials may have brought it meanwhile.
        [ "$turns" = 0 ] || [ ! -e "${file%.sif}.own" ] || [ "$(resolve "$image")" = "$digest" ] || {
          why='access denied'
          return 1
        }
        break
      fi
      ;;
    esac
    if mkdir "$lock" 2>/dev/null; then
      trap 'let_go; rmdir "$lock" 2>/dev/null; exit 143' TERM INT HUP
      began=$(date +%s)
      tell Pulling "Pulling image \"$shown\""
      beat >/dev/null 2>&1 </dev/null &
      beat=$!
      pull 2>"$own/pull.said"
      code=$?
      kill "$beat" 2>/dev/null
      rmdir "$lock"
      trap - TERM INT HUP
      [ "$code" = 0 ] || {
        why=$(tail -n 3 "$own/pull.said" | sed 's/^[A-Z]* *: *//')
        return 1
      }
      tell Pulled "Successfully pulled image \"$shown\" in $(($(date +%s) - began))s. Image size: $(wc -c <"$file") bytes."
      make_room
      break
    elif is_stale "$lock" 2; then
      mv "$lock" "$lock.$$" 2>/dev/null && rmdir "$lock.$$"
    fi
    [ "$turns" -lt "$patience" ] || {
      why="not there after $patience s"
      return 1
    }
    pause 1
    turns=$((turns + 1))
  done
  printf '%s\n' "$digest" >"$alias.$$" && mv -f "$alias.$$" "$alias"
}

is_known() {
  digest=
  [ ! -f "$alias" ] || read -r digest <"$alias"
  file=$cache/sif/${digest#sha256:}.sif
  [ "$digest" ] && [ -f "$file" ]
}

# As long as there is a job that waits for it, as a kubelet does; a job holds its nodes for no longer than `retry`.
pull_until_there() {
  delay=10
  first=$(date +%s)
  until fetch; do
    [ -z "$pulling" ] || printf '%s\n' ErrImagePull "$why" >"$own/pull.error"
    [ "$pulling" ] || [ $(($(date +%s) - first + delay)) -le "$retry" ] ||
      give_up ErrImagePull "failed to pull image \"$shown\": $why"
    tell ErrImagePull "failed to pull image \"$shown\": $why"
    pause 3
    tell ImagePullBackOff "Back-off pulling image \"$shown\": ErrImagePull: $why"
    pause $((delay - 3))
    delay=$((delay * 2))
    [ "$delay" -le 300 ] || delay=300
  done
  hand_over "$file"
}

# For what is pulled elsewhere; returns where nobody is heard of who would.
wait_for_other() {
  waited=0
  while :; do
    if [ "$policy" != Always ] || [ -e "$own/pulled" ]; then
      ! is_known || hand_over "$file"
    fi
    if [ -s "$own/pull.error" ]; then
      { read -r reason && why=$(cat); } <"$own/pull.error"
      [ "$reason" = ErrImagePull ] || give_up "$reason" "$why"
      [ "$waited" -lt "$retry" ] || give_up "$reason" "failed to pull image \"$shown\": $why"
    fi
    # Its plugin has ended before it could begin, or its machine has.
    if [ "$waited" -ge 60 ] && { [ ! -e "$own/pulling" ] || is_stale "$own/pulling" 2; }; then return; fi
    [ "$waited" -lt "$patience" ] || give_up ErrImagePull "image \"$shown\" was not there after $patience s"
    sleep 1
    waited=$((waited + 1))
  done
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
      rm -f "$cache/sif/$entry" "$cache/sif/$entry.pwd" "$cache/sif/$entry.user" "$cache/sif/${entry%.sif}.own"
  done
}

case $image in
/*)
  [ -e "$image" ] || give_up ErrImagePull "image $image is not there on $(hostname)"
  rm -f "$own/image.pwd"
  if [ -d "$image" ] && [ ! -e "$image/.singularity.d/actions" ]; then
    # A directory that no Apptainer has unpacked lacks what an instance is started by.
    [ -f "$own/image.sif" ] || "$tool" --silent build "$own/image.sif" "$image" </dev/null >&2 || give_up ErrImagePull "image $image cannot be read"
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

mkdir -p "$cache/sif" "$cache/ref" "$cache/lock" "$cache/tmp" || give_up ErrImagePull "no room for images in $cache"
alias=$cache/ref/$(hash_of "$image${identity:+ $identity}")
[ "$policy" = Always ] || ! is_known || hand_over "$file"
[ "$policy" != Never ] || give_up ErrImageNeverPull "Container image \"$shown\" is not present with pull policy of Never"
[ -z "$elsewhere" ] || wait_for_other
[ -z "$pulling" ] || : >"$own/pulling"
pull_until_there
