# Runs one child of a test and outlives the test by exactly the time it takes to end that child.
#
#   sh guard.sh LAST FOLDER INPUT COMMAND [ARGUMENT...]     with a pipe on standard input
#
# Each line on the pipe is a signal name for the child. When the pipe closes, which the
# kernel does however the test process ended, the child gets the signal LAST and FOLDER
# (unless empty) is removed. INPUT is the child's standard input. The exit code is the child's.
last=$1 folder=$2 input=$3
shift 3

# Shells give a background job an empty standard input before they look at its redirections.
exec 3<&0
# At a limit of a file's size a write is to fail, as it does on a full disk.
trap '' XFSZ
"$@" <"$input" 3<&- &
child=$!

{
  while read -r signal; do kill -s "$signal" "$child"; done
  trap '' TERM
  kill -s "$last" "$child"
  exit 0
} <&3 >/dev/null 2>&1 &
watcher=$!
# What follows would say "Killed" on the child's standard error.
exec 3<&- >/dev/null 2>&1

wait "$child"
code=$?
kill -s TERM "$watcher"
if wait "$watcher" && [ -n "$folder" ]; then rm -rf "$folder"; fi
exit "$code"
