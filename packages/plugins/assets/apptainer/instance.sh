#!/bin/sh
# Puts one attempt of a container into an instance of Apptainer or Singularity, in which probes and hooks run as well.
#
#   instance.sh start DIR CONTAINER TOOL IMAGE POLICY MESSAGE SUBS OPTIONS [VOLUME SUBPATH]... OPTION... COMMAND...
#   instance.sh prepare DIR CONTAINER TOOL IMAGE POLICY SUBS [VOLUME SUBPATH]... COMMAND...   without an instance
#   instance.sh enter DIR CONTAINER COMMAND...
#
# SUBS and OPTIONS are numbers of what follows. The N-th SUBPATH of a volume can be bound as DIR/c/CONTAINER/sub/N.
# POSIX sh. Nothing here is evaluated; what a pod says is only ever an argument.
set -u
umask 022

mode=$1 dir=$2 name=$3
shift 3
own=$dir/c/$name
run=$dir/run
export APPTAINER_CONFIGDIR="$own/instance" SINGULARITY_CONFIGDIR="$own/instance"

# What Slurm has given the job of devices; the rest of the environment is the pod's.
for variable in CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES ZE_AFFINITY_MASK GPU_DEVICE_ORDINAL; do
  eval "given=\${$variable-}"
  [ -z "$given" ] || export "APPTAINERENV_$variable=$given" "SINGULARITYENV_$variable=$given"
done

fail() {
  printf %s "$1" >"$run/$name.fail"
  printf '%s\n' "$1" >&2
  exit 128
}

# A link that the pod has made must not lead out of the volume, nor a directory be made behind it.
prepare_sub() {
  inside=$(readlink -f "$2") || fail "volume source $2 is not there"
  real=$inside rest=$3/
  while [ "$rest" ]; do
    part=${rest%%/*} rest=${rest#*/}
    [ -e "$real/$part" ] || mkdir "$real/$part" || fail "subPath $3 cannot be made in its volume"
    real=$(readlink -f "$real/$part") || fail "subPath $3 cannot be resolved"
    case $real in
    "$inside"/*) ;;
    *) fail "subPath $3 leaves its volume" ;;
    esac
  done
  ln -sfn "$real" "$own/sub/$1"
}

# The pod's entries below those of this machine.
write_hosts() {
  { cat /etc/hosts 2>/dev/null || echo 127.0.0.1 localhost; echo; cat "$dir/hosts.pod" 2>/dev/null; } >"$own/hosts"
}

# Devices of a runtime cannot be bound over: below /dev the message file is reached by a link. The file system may be
# one that only processes of the instance's user namespace can enter.
link_message() {
  ln -s /.interlink/message "/proc/$pid/root$1" 2>/dev/null ||
    nsenter --user="/proc/$pid/ns/user" --preserve-credentials ln -s /.interlink/message "/proc/$pid/root$1"
}

# Sets `pid`, the first process of the instance, and names its parent to the supervisor, which ends both.
find_instance() {
  state=$(cat "$own"/instance/instances/*/*/*/"$name/$name.json" 2>/dev/null)
  pid=${state#*\"pid\":}
  pid=${pid%%[!0-9]*}
  keeper=${state#*\"ppid\":}
  keeper=${keeper%%[!0-9]*}
  if [ -z "$pid" ] || [ -z "$keeper" ]; then fail "the container cannot be found"; fi
  echo "$keeper" >"$run/$name.keeper"
}

# Sets `path`, the image as it is found here, and `scratch`; leaves what can be bound.
make_ready() {
  echo "$$" >"$run/$name.pid"
  # shellcheck source=/dev/null
  . "$dir/conf"
  # shellcheck disable=SC2154
  export INTERLINK_INSTANCE="$name.$uid"
  scratch=${INTERLINK_SCRATCH:-$own}/work.$name
  chmod -R u+rwx "$scratch" 2>/dev/null
  rm -rf "$own/instance" "$own/sub" "$scratch"
  mkdir -p "$own/sub" "$scratch" || fail "no room for the container's files in $scratch"
  : >"$run/$name.fail"
  write_hosts
}

find_image() {
  path=$(sh "$dir/image.sh" "$dir" "$name" "$tool" "$image" "$policy" 2>"$run/$name.said") ||
    fail "$(tail -n 5 "$run/$name.said")"
  if [ -s "$own/image.pwd" ]; then
    read -r APPTAINER_PWD <"$own/image.pwd"
    export APPTAINER_PWD SINGULARITY_PWD="$APPTAINER_PWD"
  fi
}

# Arguments: of each of $subs parts, the volume and the path in it; what follows is left alone.
prepare_subs() {
  n=0
  while [ "$n" -lt "$subs" ]; do
    prepare_sub "$n" "$1" "$2"
    shift 2
    n=$((n + 1))
  done
}

# The container is there. The supervisor hears of it at once, if it lives.
announce() {
  : >"$run/$name.made"
  [ ! -p "$run/wake" ] || echo 1<>"$run/wake"
}

prepare() {
  tool=$1 image=$2 policy=$3 subs=$4
  shift 4
  make_ready
  prepare_subs "$@"
  shift $((2 * subs))
  find_image
  ln -sfn "$path" "$own/image"
  announce
  exec "$@"
}

start() {
  tool=$1 image=$2 policy=$3 message=$4 subs=$5 options=$6
  shift 6
  make_ready
  prepare_subs "$@"
  shift $((2 * subs))
  find_image
  said=$(
    total=$# n=0
    while [ "$n" -lt "$options" ]; do
      set -- "$@" "$1"
      shift
      n=$((n + 1))
    done
    shift $((total - options))
    "$tool" --silent --nocolor instance start --workdir "$scratch" "$@" "$path" "$name" </dev/null 2>&1 >/dev/null
  ) || fail "the container cannot be made: $said"
  shift "$options"
  find_instance
  case $message in /dev/*) link_message "$message" 2>/dev/null ;; esac
  announce
  exec "$@"
}

enter() { exec "$@"; }

case $mode in
start | prepare | enter) "$mode" "$@" ;;
*)
  echo 'usage: instance.sh start|prepare|enter DIR CONTAINER ...' >&2
  exit 2
  ;;
esac
