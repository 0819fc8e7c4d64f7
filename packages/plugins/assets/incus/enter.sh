#!/bin/sh
# enter.sh FILE COMMAND...   the command in the mount namespace of the process whose id the file holds, once it does.
file=$1
shift
until [ -s "$file" ]; do sleep 0.1 2>/dev/null || sleep 1; done
read -r pid <"$file"
exec nsenter -t "$pid" -m "$@"
