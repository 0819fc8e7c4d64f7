# Runs commands for the plugin, each in the background: a fork of this shell costs a tenth of one of the plugin, which
# would stand still meanwhile. $1 is a directory of the plugin's own, which is removed at the end.
#
# A command is a line with its number, the name of the file that it reads, its words, and a line with a dot. The last
# line of a word stands behind a dash, those before it behind a plus. No line is ever evaluated, and nothing is run of
# what was cut off. Said of it is `NUMBER started PID` and, once all that it has printed is in $1/NUMBER.out and
# $1/NUMBER.err, `NUMBER ended CODE`.
newline='
'
while IFS= read -r number; do
  set -- "$1"
  word=
  while IFS= read -r line; do
    case $line in
      +*) word=$word${line#+}$newline ;;
      -*) set -- "$@" "$word${line#-}"; word= ;;
      *) break ;;
    esac
  done
  [ "$line" = . ] || break
  (
    files=$1/$number
    input=$2
    shift 2
    "$@" <"$input" >"$files.out" 2>"$files.err" &
    echo "$number started $!"
    wait "$!"
    echo "$number ended $?"
  ) &
done
wait
rm -rf -- "$1"
