# Read by the shell that begins a job, in the job's unpacked directory: runs the job to its end.
while read -r volume size; do
  mount -t tmpfs -o "mode=0777${size:+,size=$size}" tmpfs "volumes/$volume"
done <memory-volumes 2>/dev/null
# Whoever a container runs as reaches its volumes, as with a kubelet; what is of a group stays so.
chmod 644 hosts
file_group=
[ ! -e file-group ] || read -r file_group <file-group
while read -r volume kind; do
  case $kind in
  shared)
    # Other instances may be at work in it.
    [ -z "$file_group" ] || { chown ":$file_group" "$volume" && chmod g+s "$volume"; }
    chmod a+rwx "$volume"
    continue
    ;;
  emptyDir) chmod 777 "$volume" && may=rwX ;;
  *) find "$volume" -type d -exec chmod 755 {} + && may=rX ;;
  esac
  [ -z "$file_group" ] || {
    chown -R ":$file_group" "$volume" && chmod -R "g+$may" "$volume"
    find "$volume" -type d -exec chmod g+s {} +
  }
done <own-volumes
sh job.sh &
supervisor=$!
# On a disk of limited size, some of it is kept for the last words of a pod that fills it; such a pod is ended. What is
# given back at first is filled by a greedy one too.
parts='1 2 3 4'
keep_room() {
  read -r limit <disk-limit
  # Those of a kubelet.
  words="Pod ephemeral local storage usage exceeds the total limit of containers $limit."
  for part in $parts; do head -c 2097152 /dev/urandom >"reserve.$part"; done
  while head -c 65536 /dev/urandom >probe && [ "$(wc -c <probe)" -eq 65536 ]; do sleep 5; done
  for part in $parts; do
    rm -f probe "reserve.$part"
    [ -e stop ] || { printf '0\nEvicted\n%s\n' "$words" >stop.tmp && mv stop.tmp stop; }
    kill -s TERM "$supervisor"
    sleep 3
  done
}
[ ! -e disk-limit ] || keep_room 2>/dev/null &
trap 'kill -s TERM "$supervisor"' TERM PWR
while kill -s 0 "$supervisor" 2>/dev/null; do wait "$supervisor"; done
