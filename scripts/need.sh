#!/usr/bin/env bash
# Says which Debian package a missing command comes from. Usage: need.sh COMMAND…
set -euo pipefail
status=0
for command in "$@"; do
  if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null; then
    echo "$command is missing: apt-get install $command" >&2
    status=1
  fi
done
exit $status
