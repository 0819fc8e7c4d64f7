# `action`: one probe or hook, in a process of its own; what it prints says why it failed. Offers `act`, by which the
# quoted line of the job directory calls one of exec_action, sleep_action, tcp_action, http_action and grpc_action.

exec_action() {
  # shellcheck disable=SC2086
  $sh "$DIR/c/$name/enter" "$@" 3>&-
}

# Not every sleep knows fractions; with whole seconds there are none.
sleep_action() {
  set_seconds $(($1 * second))
  sleep "$seconds" 2>/dev/null || sleep "$1"
}

tcp_action() {
  talk tcp "$1" "$2" </dev/null
  answer=$?
  [ "$answer" != 90 ] || no_tool 'tcp probes' 'perl, python3, nc or bash'
  return "$answer"
}

# Arguments: SCHEME HOST PORT PATH HEADER...
http_action() {
  scheme=$1 host=$2 port=$3 path=$4
  shift 4
  agent='User-Agent: kube-probe/interlink' authority="Host: $host:$port" accept='Accept: */*'
  for header in "$@"; do
    case $header in
    [Uu][Ss][Ee][Rr]-[Aa][Gg][Ee][Nn][Tt]:*) agent= ;;
    [Hh][Oo][Ss][Tt]:*) authority= ;;
    [Aa][Cc][Cc][Ee][Pp][Tt]:*) accept= ;;
    esac
  done
  case $host in *:*) url="$scheme://[$host]:$port$path" ;; *) url="$scheme://$host:$port$path" ;; esac
  if [ "$scheme" = http ]; then
    answer=$({
      printf 'GET %s HTTP/1.1\r\n' "$path"
      for header in "$authority" "$agent" "$accept" "$@"; do [ "$header" ] && printf '%s\r\n' "$header"; done
      printf 'Connection: close\r\n\r\n'
    } | talk http "$host" "$port" | head -n 1 | tr -d '\000\r')
    case $answer in
    HTTP/1.?\ [0-9][0-9][0-9]*)
      answer=${answer#* }
      judge_http "${answer%% *}" && return 0
      return 1
      ;;
    esac
  fi
  if has curl; then
    # Headers may be secret: they go through stdin, not into the process list.
    answer=$({
      for header in "$authority" "$agent" "$@"; do
        [ "$header" ] && printf 'header = "%s"\n' "$(printf %s "$header" | sed 's/[\\"]/\\&/g')"
      done
    } | curl -sSk -o /dev/null -w '%{http_code}' --noproxy '*' -K - -- "$url") || return 1
    judge_http "$answer"
  elif [ "$scheme" = https ] && [ "$python" ]; then
    printf '%s\n' "$@" | python3 -c '
import ssl, sys, urllib.request, urllib.error
headers = dict(l.rstrip("\n").split(": ", 1) for l in sys.stdin if ": " in l)
try: print(urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl._create_unverified_context())).open(urllib.request.Request(sys.argv[1], headers=headers)).status)
except urllib.error.HTTPError as e: print("HTTP probe failed with statuscode: %d" % e.code); sys.exit(1)
except OSError as e: print(e); sys.exit(1)' "$url"
  elif [ $# = 0 ] && has wget; then
    wget -q --no-check-certificate -O /dev/null -- "$url" || { echo "Get \"$url\": failed"; return 1; }
  elif [ "$scheme" = http ] && { [ "$perl" ] || [ "$python" ] || has nc || has bash; }; then
    echo "Get \"$url\": no answer in HTTP"
    return 1
  else
    case $scheme$# in
    http0) no_tool 'http probes' 'perl, python3, nc, bash, curl or wget' ;;
    https0) no_tool 'https probes' 'curl, python3 or wget' ;;
    http*) no_tool "$scheme probes with headers" "$([ "$scheme" = https ] || echo 'perl, nc, bash, ')curl or python3" ;;
    esac
  fi
}

judge_http() {
  [ "$1" -ge 200 ] && [ "$1" -lt 400 ] && return 0
  echo "HTTP probe failed with statuscode: $1"
  return 1
}

byte() { printf "\\$(printf %03o "$1")"; }

# grpc.health.v1.Health/Check as the bytes of one HTTP/2 stream; the answer is looked for in its DATA frame.
# Arguments: HOST PORT SERVICE
grpc_action() {
  [ "$perl$python" ] || { no_tool 'grpc probes' 'perl or python3'; return; }
  length=${#3}
  [ "$length" -le 120 ] || { echo "the service name is longer than 120 bytes"; return 1; }
  message=$((length ? length + 2 : 0))
  authority=$1:$2
  answer=$({
    printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\000\000\000\004\000\000\000\000\000'
    printf '\000\000'
    byte $((2 + 2 + 28 + 2 + ${#authority} + 3 + 16 + 5 + 8))
    printf '\001\004\000\000\000\001\203\206\004\034/grpc.health.v1.Health/Check\001'
    byte ${#authority}
    printf '%s\017\020\020application/grpc\000\002te\010trailers' "$authority"
    printf '\000\000'
    byte $((message + 5))
    printf '\000\001\000\000\000\001\000\000\000\000'
    byte "$message"
    if [ "$length" -gt 0 ]; then
      printf '\012'
      byte "$length"
      printf %s "$3"
    fi
  } | talk grpc "$1" "$2" | od -An -v -tx1 | tr -d ' \n')
  case $answer in
  *00000700??0000000100000000020801*) return 0 ;;
  *00000700??0000000100000000020802*) echo 'service unhealthy (responded with "NOT_SERVING")' ;;
  *00000700??0000000100000000020803*) echo 'service unhealthy (responded with "SERVICE_UNKNOWN")' ;;
  *00000700??00000001000000000208*) echo 'service unhealthy (responded with "UNKNOWN")' ;;
  '') echo "no answer from $authority" ;;
  *) echo "$authority knows no such service, or no grpc.health.v1.Health" ;;
  esac
  return 1
}

act() {
  # shellcheck source=/dev/null
  . "$DIR/c/$name/$1"
  echo "$?" >"$DIR/run/$name.$1"
  wake
}
