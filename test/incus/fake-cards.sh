#!/bin/sh
# fake-cards.sh DIR COMMAND...   runs COMMAND, a daemon of Incus, where /sys and /dev show two NVIDIA cards and an FPGA that
# nobody has: in a mount namespace of its own, so that nothing of the machine changes. No driver is behind them, so this
# shows what Incus and the plugin make of them, and nothing of what a program does with a real one.
# DIR/pci is /sys/bus/pci/devices there, DIR/drm is /sys/class/drm, and DIR/nodes is /dev: what is taken away from these
# while it runs was pulled out.
set -eu
if [ "${FAKE_CARDS:-}" != inside ]; then
  FAKE_CARDS=inside exec unshare -m --propagation private /bin/sh "$0" "$@"
fi
unset FAKE_CARDS
fake=$1
shift
# gpu NUMBER ADDRESS
gpu() {
  at=$fake/cards/$2
  mkdir -p "$at/drm/card$1" "$at/drm/renderD$((128 + $1))"
  echo 0x10de >"$at/vendor"
  echo 0x20b0 >"$at/device"
  echo 0 >"$at/numa_node"
  echo 0x030200 >"$at/class"
  printf 'DRIVER=nvidia\nPCI_SLOT_NAME=%s\nPCI_ID=10DE:20B0\n' "$2" >"$at/uevent"
  ln -s "$fake/drivers/nvidia" "$at/driver"
  ln -s /sys/bus/pci "$at/subsystem"
  for node in "card$1=$1" "renderD$((128 + $1))=$((128 + $1))"; do
    mkdir "$fake/drm/${node%=*}"
    echo "226:${node#*=}" | tee "$at/drm/${node%=*}/dev" >"$fake/drm/${node%=*}/dev"
    ln -s "$at" "$fake/drm/${node%=*}/device"
  done
}

make_cards() {
  mkdir -p "$fake/drivers/nvidia/module" "$fake/drm" "$fake/pci" "$fake/bin" "$fake/class" "$fake/dev" "$fake/sys" "$fake/nodes"
  gpu 0 0000:3b:00.0
  gpu 1 0000:86:00.0
  fpga=$fake/cards/0000:5e:00.1
  mkdir -p "$fake/drivers/xocl" "$fpga"
  echo 0x10ee >"$fpga/vendor"
  echo 0x505d >"$fpga/device"
  echo 1 >"$fpga/numa_node"
  echo 0x120000 >"$fpga/class"
  printf 'DRIVER=xocl\nPCI_SLOT_NAME=0000:5e:00.1\nPCI_ID=10EE:505D\n' >"$fpga/uevent"
  ln -s "$fake/drivers/xocl" "$fpga/driver"
  ln -s /sys/bus/pci "$fpga/subsystem"
  for device in /sys/bus/pci/devices/*; do
    [ -e "$device" ] && ln -s "$(readlink -f "$device")" "$fake/pci/${device##*/}"
  done
  for card in "$fake"/cards/*; do ln -s "$card" "$fake/pci/${card##*/}"; done
  echo 550.00 >"$fake/drivers/nvidia/module/version"
  # What Incus asks the driver's container tools, and what LXC's hook calls.
  cat >"$fake/bin/nvidia-container-cli" <<'.'
#!/bin/sh
case " $* " in
*' info --csv '* | *' info '*'--csv'*)
  echo 'NVRM version,CUDA version'
  echo '550.00,12.4'
  echo
  echo 'Device Index,Device Minor,Model,Brand,GPU UUID,Bus Location,Architecture'
  echo '0,0,NVIDIA A100-SXM4-40GB,Tesla,GPU-11111111-1111-1111-1111-111111111111,0000:3b:00.0,8.0'
  echo '1,1,NVIDIA A100-SXM4-40GB,Tesla,GPU-22222222-2222-2222-2222-222222222222,0000:86:00.0,8.0'
  ;;
esac
.
  chmod 755 "$fake/bin/nvidia-container-cli"
  mkdir "$fake/nodes/dri"
  for card in 0 1; do
    mknod -m 666 "$fake/nodes/dri/card$card" c 226 "$card"
    mknod -m 666 "$fake/nodes/dri/renderD$((128 + card))" c 226 "$((128 + card))"
    mknod -m 666 "$fake/nodes/nvidia$card" c 195 "$card"
  done
  mknod -m 666 "$fake/nodes/nvidiactl" c 195 255
  # One that answers as /dev/zero does.
  mknod -m 666 "$fake/nodes/fpga0" c 1 5
}
[ -d "$fake/cards" ] || make_cards

# The kernel gives a container a /sys of its own only where one that is whole can be seen.
mount -t sysfs sysfs "$fake/sys"
mount --bind /sys/class "$fake/class"
mount -t tmpfs none /sys/class
for class in "$fake"/class/*; do
  class=${class##*/}
  mkdir "/sys/class/$class"
  mount --bind "$fake/class/$class" "/sys/class/$class"
done
mkdir -p /sys/class/drm
mount --bind "$fake/drm" /sys/class/drm
mount --bind "$fake/pci" /sys/bus/pci/devices

mount --rbind /dev "$fake/dev"
mount --bind "$fake/nodes" /dev
for entry in "$fake"/dev/*; do
  name=${entry##*/}
  if [ -L "$entry" ]; then
    ln -sfn "$(readlink "$entry")" "/dev/$name"
  elif [ -d "$entry" ]; then
    mkdir -p "/dev/$name"
    mount --rbind "$entry" "/dev/$name"
  else
    : >"/dev/$name"
    mount --bind "$entry" "/dev/$name"
  fi
done
# The hook looks in these folders alone.
mount -t overlay -o "lowerdir=$fake/bin:/usr/sbin" overlay /usr/sbin
exec "$@"
