# Makes a wheel of compiled code: what scripts/build_operators_wheel and build_plugins_wheel share.

# wheel PACKAGE OUT MACHINE GLIBC OBJDUMP FILE ...: of plugins/simam/PACKAGE/package, with the files in
# it. The tag states the oldest glibc that they run with: symbols of a newer one end it here.
wheel() {
    local package=$1 out=$2 machine=$3 glibc=$4 objdump=$5 work newest python
    shift 5
    newest=$(for file in "$@"; do [[ $file != *.so ]] || "$objdump" -T "$file"; done |
        grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    if [ "$(printf '%s\n' "GLIBC_$glibc" "$newest" | sort -V | tail -n 1)" != "GLIBC_$glibc" ]; then
        echo "$0: $* want $newest, the wheel's tag says $glibc" >&2
        return 1
    fi
    work=$(mktemp -d)
    cp -r "plugins/simam/$package/package/." LICENSE "$work"
    cp "$@" "$work"/simam_deploy_*/
    sed -n 's/^__version__ = "\(.*\)"$/\1/p' simam_deploy/core/version.py >"$work/VERSION"
    python=.venv/bin/python
    [ -x "$python" ] || python=python3
    "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
        --config-settings="--build-option=--plat-name=manylinux_${glibc/./_}_$machine" \
        --wheel-dir "$out" "$work"
    rm -rf "$work"
}
