#!/usr/bin/env bash
# Drives a gateway with the official OpenAI SDKs for Python and Node. They are given a base URL and
# a key, and nothing else. OVERSPILL_BIN names the binary (default: target/quick/overspill).
set -euo pipefail
cd "$(dirname "$0")"
target=$(cd "${CARGO_TARGET_DIR:-../../target}" && pwd)
bin=${OVERSPILL_BIN:-$target/quick/overspill}
home=$target/clients
logs=$(mktemp -d)
started=()

stop() {
    local status=$?
    for id in "${started[@]}"; do
        kill -9 "$id" 2>/dev/null || true
        wait "$id" 2>/dev/null || true
    done
    if [ "$status" -ne 0 ]; then
        tail -n 40 "$logs"/*.log >&2
    fi
    rm -rf "$logs"
    exit "$status"
}
trap stop EXIT

# Starts a part of this run, its output in a log of its own.
start() {
    "$bin" "$@" >"$logs/$1.log" 2>&1 </dev/null &
    started+=("$!")
}

# Waits until someone answers on a port, for as long as what was started last is alive.
ready() {
    local port=$1
    for _ in $(seq 200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            return 0
        fi
        if ! kill -0 "${started[-1]}" 2>/dev/null; then
            break
        fi
        sleep 0.05
    done
    echo "nobody answers on port $port" >&2
    return 1
}

./install.sh
read -r MOCK_PORT GATEWAY_PORT ADMIN_PORT < <("$home/venv/bin/python" - <<'PORTS'
import socket

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in sockets))
PORTS
)
CLIENT_KEY=sk-test-0123456789abcdef
export MOCK_PORT GATEWAY_PORT ADMIN_PORT CLIENT_KEY

start mock --listen "127.0.0.1:$MOCK_PORT"
ready "$MOCK_PORT"
start serve -c overspill.yaml
ready "$GATEWAY_PORT"

export GATEWAY_URL=http://127.0.0.1:$GATEWAY_PORT/v1 MOCK_URL=http://127.0.0.1:$MOCK_PORT/v1
# A proxy in the environment is not meant for a gateway on this machine.
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

failed=0
echo "Python: openai $("$home/venv/bin/python" -c 'import openai; print(openai.__version__)')"
"$home/venv/bin/python" sdk.py || failed=1
echo "Node: openai $(NODE_PATH=$home/node_modules node -p 'require("openai/version").VERSION')"
NODE_PATH=$home/node_modules node sdk.cjs || failed=1
exit "$failed"
