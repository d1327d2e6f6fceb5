#!/usr/bin/env bash
# Fetches libtorch into libtorch/<cpu|cuda> of this checkout and tells cargo where it lies.
#
# CUDA=1 or CUDA=0 chooses the flavour; else it follows from whether an NVIDIA driver is there.
# A user's own LIBTORCH or LIBTORCH_USE_PYTORCH is only checked. Where everything is in place
# nothing is started. Exit codes: 2 what this machine shows before work starts, 1 what fails later.
set -euo pipefail

readonly libtorch_version=2.11.0 # what tch 0.24 is made for
readonly wheel_python=3.12       # which wheels to take; the Python that fetches them may be another
readonly glibc_minor=28          # the wheels need glibc 2.28
# Part of the stamp: raise it when what `prune` leaves changes, and every checkout sets up anew.
readonly layout=1

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
refuse() { say "$@"; exit 2; }
fail() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

main() {
    check_tools
    if [ -n "${LIBTORCH_USE_PYTORCH+set}" ]; then
        check_pytorch
    elif [ -n "${LIBTORCH+set}" ]; then
        check_own_libtorch
    else
        choose_flavour
        is_complete "$target" || install_locked
        write_cargo_config
    fi
}

check_tools() {
    have cargo || refuse "cargo was not found on PATH; install Rust, or add ~/.cargo/bin to PATH"
    local compiler=${CXX:-c++}
    have "${compiler%% *}" ||
        refuse "no C++ compiler: '${compiler%% *}' was not found on PATH; install g++, or set CXX to one"
}

# --- A libtorch of the user's own -----------------------------------------------------------------

check_pytorch() {
    # The interpreter that torch-sys takes. It looks whether the variable is set, not at its value.
    local python=python3 folder
    [ -z "${VIRTUAL_ENV+set}" ] || python=python
    have "$python" ||
        refuse "LIBTORCH_USE_PYTORCH is set, but '$python' was not found on PATH; unset it to fetch libtorch"
    local find='import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])'
    folder=$("$python" -c "$find" 2>/dev/null) ||
        refuse "LIBTORCH_USE_PYTORCH is set, but '$python' has no torch; install torch==$libtorch_version, or unset it"
    check_version "$folder" LIBTORCH_USE_PYTORCH
}

check_own_libtorch() {
    case $LIBTORCH in
        /*) ;;
        *) refuse "LIBTORCH is '$LIBTORCH', not an absolute path; give one, or unset it to fetch libtorch" ;;
    esac
    [ -d "$LIBTORCH/lib" ] && [ -d "$LIBTORCH/include" ] ||
        refuse "LIBTORCH is '$LIBTORCH', no folder with lib/ and include/; correct it, or unset it to fetch libtorch"
    check_version "$LIBTORCH" LIBTORCH
}

# check_version FOLDER VARIABLE: refuses another libtorch than the one that tch is made for.
check_version() {
    local found
    found=$(version_of "$1")
    [ -n "$found" ] ||
        refuse "$2 leads to '$1', whose version cannot be told; $libtorch_version is needed: unset $2 to fetch it"
    [ "${found%%+*}" = "$libtorch_version" ] ||
        refuse "$2 leads to libtorch $found in '$1', but $libtorch_version is needed; give that, or unset $2"
    say "libtorch $found in '$1' ($2)"
}

# Prints the version of the libtorch in a folder; nothing where it cannot be told.
version_of() {
    local header
    if [ -f "$1/build-version" ]; then
        tr -d '[:space:]' <"$1/build-version"
    elif [ -f "$1/version.py" ]; then
        sed -n "/^__version__/ { s/.*= *['\"]\([^'\"]*\)['\"].*/\1/p; q }" "$1/version.py"
    else
        # Where the first is there, the second only includes it.
        for header in "$1"/include/torch/{headeronly,csrc/api/include/torch}/version.h; do
            [ -f "$header" ] || continue
            awk '$2 == "TORCH_VERSION_MAJOR" { major = $3 } $2 == "TORCH_VERSION_MINOR" { minor = $3 }
                $2 == "TORCH_VERSION_PATCH" { print major "." minor "." $3 }' "$header"
            break
        done
    fi
}

# --- The libtorch of this checkout ----------------------------------------------------------------

# Sets flavour, and what follows from it: target, partial, requirements, stamp.
choose_flavour() {
    case ${CUDA:-} in
        1) flavour=cuda ;;
        0) flavour=cpu ;;
        '') if has_nvidia_driver; then flavour=cuda; else flavour=cpu; fi ;;
        *) refuse "CUDA is '$CUDA', but must be 1 or 0, or unset to look for an NVIDIA driver" ;;
    esac
    target=libtorch/$flavour
    partial=$target.partial
    requirements=scripts/libtorch-$flavour.txt
    stamp=$(sha256sum <"$requirements")
    stamp="layout $layout, $(uname -m), sha256 ${stamp%% *}"
}

has_nvidia_driver() {
    [ -e /proc/driver/nvidia/version ] || { have nvidia-smi && nvidia-smi -L >/dev/null 2>&1; }
}

# The stamp is written last, so it stands for everything else.
is_complete() {
    [ -f "$1/stamp" ] && [ "$(cat "$1/stamp")" = "$stamp" ] && [ -e "$1/torch/lib/libtorch_cpu.so" ]
}

# One set-up at a time. The lock is on an open file that pip inherits: should this script be
# killed, the next one waits until an orphaned pip has ended too.
install_locked() {
    mkdir -p libtorch 2>/dev/null && [ -w libtorch ] ||
        refuse "cannot write to the folder 'libtorch' in '$PWD'; make the checkout writable"
    if have flock; then
        exec 9>libtorch/lock
        flock -n 9 || { say "another set-up is at work here; waiting for it"; flock 9; }
    fi
    is_complete "$target" && return
    is_complete "$partial" || install
    # A folder cannot be renamed over another. Killed in between, the complete partial is taken up.
    rm -rf "$target"
    mv "$partial" "$target"
    say "libtorch $libtorch_version ($flavour) is ready in '$target'"
}

install() {
    check_machine
    rm -rf "$partial"
    check_space
    make_venv
    say "downloading libtorch $libtorch_version ($flavour): $(figure download-mb) MB, on disk then $(figure disk-mb) MB"
    fetch_wheels
    prune
    write_version
    rm -rf "$partial/parts"
    printf '%s\n' "$stamp" >"$partial/stamp"
}

check_machine() {
    local glibc own="set LIBTORCH to a libtorch $libtorch_version of your own"
    case $(uname -s)-$(uname -m) in
        Linux-x86_64 | Linux-aarch64) ;;
        *) refuse "no libtorch to fetch for $(uname -s) on $(uname -m), only for Linux on x86_64 and aarch64; $own" ;;
    esac
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || glibc="glibc 2.0"
    [ "${glibc##*.}" -ge "$glibc_minor" ] ||
        refuse "libtorch to fetch needs glibc 2.$glibc_minor or later, this system has ${glibc/#glibc 2.0/none}; $own"
    have python3 || refuse "python3 was not found on PATH; install Python 3 with its venv module, or $own"
}

# A figure that the list of requirements states in a comment.
figure() { sed -n "s/^# $1: *//p" "$requirements"; }

# pip keeps a second copy of what it fetches in its cache, most often on the same disk.
check_space() {
    local needed free
    needed=$(($(figure peak-mb) + $(figure download-mb)))
    free=$(df -Pm libtorch | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$needed" ] ||
        refuse "$free MB are free in '$PWD', but set-up needs $needed MB on the way; free some space"
}

# pip from a virtual environment of our own works where the system's Python is closed to pip.
make_venv() {
    local work=$partial/parts
    mkdir -p "$work/tmp"
    if ! { python3 -m venv "$work/venv" && "$work/venv/bin/python" -c 'import pip'; } >/dev/null 2>&1; then
        refuse "python3 cannot make a virtual environment with pip; install its venv module (python3-venv on Debian)"
    fi
}

fetch_wheels() {
    local work=$PWD/$partial/parts options environment minor errors
    options=(--log "$work/pip.log" --target "$work/wheels" --no-deps --no-compile --only-binary=:all:)
    options+=(--python-version "$wheel_python" --implementation cp --platform "manylinux2014_$(uname -m)")
    for ((minor = glibc_minor; minor >= 17; minor--)); do
        options+=(--platform "manylinux_2_${minor}_$(uname -m)")
    done
    [ -t 2 ] || options+=(--quiet --progress-bar off)
    # Unpacked beside its goal, where the space was checked; from there it is only renamed.
    environment=(TMPDIR="$work/tmp" PIP_USER=0 PIP_NO_INPUT=1 PIP_REQUIRE_VIRTUALENV=0)
    environment+=(PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore)
    # Its bar goes to stderr, its complaints into one line.
    {
        errors=$(env "${environment[@]}" "$work/venv/bin/python" -m pip install "${options[@]}" \
            -r "$requirements" 2>&1 >&3) || explain_failure "$errors"
    } 3>&2
}

# explain_failure ERRORS: ends with what pip's errors come down to.
explain_failure() {
    local reason
    case $1 in
        *'No space left'*) reason="the disk ran full; free some space" ;;
        *'Retrying (Retry'* | *ConnectionError* | *ConnectTimeout* | *ReadTimeout* | *ProxyError* | *SSLError*)
            reason="the package index cannot be reached; check the network, and pip's proxy and index settings" ;;
        *'No matching distribution found for '*)
            reason=${1##*No matching distribution found for }
            reason="the package index lacks ${reason%%$'\n'*}; check pip's index settings" ;;
        *) reason="pip says '$(tail -n 1 <<<"$1")'; mend that" ;;
    esac
    fail "libtorch was not downloaded: $reason, and run again (details in '$partial/parts/pip.log')"
}

# Keeps what compiling, linking and running need: libraries, headers and licences.
prune() {
    local wheels=$partial/parts/wheels lib=$partial/torch/lib
    mv "$wheels"/nvidia "$wheels"/*.dist-info "$partial"
    mkdir "$partial/torch"
    mv "$wheels"/torch/{lib,include,share,version.py} "$partial/torch"
    # Libraries that a wheel brings beside its package.
    [ ! -d "$wheels/torch.libs" ] || mv "$wheels/torch.libs" "$partial"
    rm -f "$lib"/libtorch_python.so "$lib"/libshm.so "$lib"/libtorch_global_deps.so
    rm -rf "$lib"/libshm "$lib"/libshm_windows "$partial"/nvidia/*/lib/*.a
    [ "$flavour" = cpu ] || return 0
    # Nothing may link against CUDA libraries whose own dependencies are absent. libtorch.so asks for
    # libtorch_cuda.so, and linkers find C++ runtime symbols in it: here it is another name of the CPU's.
    rm -f "$lib"/libtorch_cuda*.so "$lib"/libtorch_nvshmem.so "$lib"/libc10_cuda.so "$lib"/libcaffe2_nvrtc.so
    ln -sf libtorch_cpu.so "$lib/libtorch.so"
}

# torch-sys reads the version from the file build-version, which the wheel lacks.
write_version() {
    local found
    found=$(version_of "$partial/torch")
    rm "$partial/torch/version.py"
    [ "${found%%+*}" = "$libtorch_version" ] ||
        fail "the wheels hold libtorch ${found:-of no version}, not $libtorch_version; correct '$requirements'"
    printf '%s\n' "$found" >"$partial/torch/build-version"
}

# Plain `cargo build` finds libtorch, too. The user's environment wins, as `force` is not set.
write_cargo_config() {
    local config=.cargo/config.toml mark='# Written by scripts/setup.sh' path line new
    path=$PWD/$target/torch
    path=${path//\\/\\\\}
    line="LIBTORCH = \"${path//\"/\\\"}\""
    if [ -e "$config" ]; then
        ! grep -qxF -- "$line" "$config" || return 0
        head -n 1 "$config" | grep -qxF -- "$mark" ||
            refuse "'$config' was not written by set-up and stays; add to its [env] the line $line, or remove the file"
    fi
    mkdir -p .cargo
    new=$(mktemp .cargo/config.XXXXXX)
    printf '%s\n[env]\n%s\n' "$mark" "$line" >"$new"
    chmod 644 "$new"
    mv "$new" "$config"
}

main
