# Reads what a test process started, one line each, and cleans it up when that process is gone, however it died:
# the pipe on stdin then ends.
#   +PID    kill this process group at the end        -PID    it has ended, forget it
#   /PATH   remove this directory at the end          !PATH  run this script at the end
groups=' '
directories=''
scripts=''
while IFS= read -r line; do
  case $line in
    +*) groups="$groups${line#+} " ;;
    -*) groups="${groups%% "${line#-}" *} ${groups#* "${line#-}" }" ;;
    !*) scripts="$scripts${line#!}
" ;;
    /*) directories="$directories$line
" ;;
  esac
done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
printf '%s' "$scripts" | while IFS= read -r script; do [ ! -e "$script" ] || sh "$script"; done
printf '%s' "$directories" | while IFS= read -r directory; do rm -rf -- "$directory"; done
