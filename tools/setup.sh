#!/bin/sh
# Installs what the tests need and this machine lacks. On Debian and its
# relatives it uses apt-get; elsewhere it says what to install.
set -eu

missing=""
need() { # need COMMAND PACKAGE…
  command -v "$1" >/dev/null 2>&1 && return 0
  shift
  missing="$missing $*"
}
need gcc gcc libc6-dev      # the race detector
need node nodejs            # Node.js functions
need npm npm                # their dependencies
need python3 python3        # Python functions
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing="$missing python3-venv"
need mkfs.ext4 e2fsprogs    # file systems that lose power
need losetup mount
need git git
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"

[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: please install:$missing" >&2
  exit 1
fi
as=""
if [ "$(id -u)" -ne 0 ]; then
  as="sudo"
fi
echo "setup: installing$missing"
$as apt-get update -q
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as apt-get install -qy --no-install-recommends $missing
