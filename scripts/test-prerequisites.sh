#!/usr/bin/env bash
# Installs the Debian packages that the tests start servers from. Their daemons are kept from starting: a policy-rc.d
# answers 101 while apt runs and whatever was there before is put back; PostgreSQL makes no cluster. Asks first on a terminal unless CI=true.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

# command=package
needs=(haproxy=haproxy dockerd=docker.io chromium=chromium prometheus=prometheus promtool=prometheus wrk=wrk ip=iproute2 iptables=iptables curl=curl gcc=gcc setsid=util-linux)
missing=()
for need in "${needs[@]}"; do
  command -v "${need%%=*}" >/dev/null || missing+=("${need#*=}")
done
# The screenshots in Chinese need a font that has the characters.
if ! [ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ] && ! fc-list :lang=zh 2>/dev/null | grep -q .; then
  missing+=(fonts-noto-cjk)
fi
# PostgreSQL's programs are not in the path; the package's name is the same in Debian and Ubuntu.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
for tool in cargo node npm; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install Rust (rustup) and Node.js 20 or newer first" >&2; exit 1; }
done
[ ${#missing[@]} -eq 0 ] && exit 0

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
echo "apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
  echo "this is not a Debian system: install what the packages above provide" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "missing for the tests: ${missing[*]}; run the line above as root" >&2
  exit 1
fi
if [ "${CI:-}" != true ] && [ -t 0 ]; then
  read -r -p "Install them now? [y/N] " answer
  [[ "$answer" == [yY]* ]] || { echo "not installed" >&2; exit 1; }
fi

policy=/usr/sbin/policy-rc.d
saved=""
# While this file is there, PostgreSQL's package makes no cluster that would run from the next start of the machine on.
no_cluster=/etc/postgresql-common/createcluster.d/tidewatch-tests.conf
restore() {
  if [ -n "$saved" ]; then mv -f "$saved" "$policy"; else rm -f "$policy"; fi
  rm -f "$no_cluster"
}
if [ -e "$policy" ]; then
  saved="$(mktemp /usr/sbin/policy-rc.d.XXXXXX)"
  mv -f "$policy" "$saved"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
mkdir -p "${no_cluster%/*}"
echo 'create_main_cluster = false' > "$no_cluster"

export DEBIAN_FRONTEND=noninteractive
for try in 1 2 3; do
  if apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; then exit 0; fi
  echo "apt-get failed, try $try of 3" >&2
  sleep 5
done
exit 1
