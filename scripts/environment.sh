# Sourced by the other scripts: makes .venv with the pinned versions, once per set of extras.
# PYTHON names the interpreter to make it with (default: the first Python 3.10+ on PATH).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python; do
        if [ -n "$candidate" ] && "$candidate" -c \
            'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "no Python 3.10 or newer found; set PYTHON to one" >&2
    return 1
}

# Usage: environment EXTRAS; installs unless the same set-up is there already.
environment() {
    local stamp=".venv/.simam-deploy-$1" wanted
    wanted=$(cat pyproject.toml constraints.txt | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    if [ ! -x .venv/bin/python ]; then
        local python
        python=$(find_python)
        echo "making .venv with $("$python" --version)" >&2
        "$python" -m venv .venv
    fi
    echo "installing simam-deploy[$1] with the pinned versions (minutes the first time)" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        -c constraints.txt -e ".[$1]"
    echo "$wanted" >"$stamp"
}
