#!/usr/bin/env bash
# Installs the official OpenAI SDKs, pinned, below target/clients. Does nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")"
home=${CARGO_TARGET_DIR:-../../target}/clients
mkdir -p "$home"
home=$(cd "$home" && pwd)

wanted=$(cat requirements.txt package.json package-lock.json | cksum)
if [ "$(cat "$home/installed" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
rm -f "$home/installed"

python3 -m venv --clear "$home/venv"
"$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.txt

cp package.json package-lock.json .npmrc "$home/"
(cd "$home" && npm ci --ignore-scripts --loglevel=error)

echo "$wanted" >"$home/installed"
