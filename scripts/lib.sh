# Shared by the scripts: sourced, never run. Bash.
#
#   say TEXT             a step, to people
#   die TEXT             an error, and the end
#   install_packages P…  what is missing of these Debian packages
#   free_port            a TCP port nobody listens to
#   build PRESET         configure and build

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What is needed to build; each has its row in third_party/README.md.
build_packages=(gcc libc6-dev python3 cmake ninja-build pkg-config libevent-dev libssl-dev libhiredis-dev librabbitmq-dev
    libmsgpack-dev uthash-dev zlib1g-dev liburing-dev)
# What is needed to run a private broker and store.
service_packages=(rabbitmq-server redis-server curl procps)
# What the tests need beyond that: libraries, independent clients, a browser, a proxy.
client_packages=(python3-websockets python3-pika python3-msgpack)
test_packages=("${client_packages[@]}" clang-format libcmocka-dev libjansson-dev libwslay-dev openssl chromium chromium-driver nginx-light spin nodejs node-ws)

say() {
    printf '\033[1m==>\033[0m %s\n' "$*"
}

die() {
    printf '\033[1;31mError:\033[0m %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "not root and no sudo; as root, run: $*"
    fi
}

# Services that Debian would start when a package is installed stay down: ours are private.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d ours=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        ours=yes
    fi
    local status=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" \
        | grep --line-buffered -E '^(Get:|Setting up|E:|W:)' | sed -u 's/^/    /' || true
    status=${PIPESTATUS[0]}
    [ -z "$ours" ] || as_root rm -f "$policy"
    return "$status"
}

install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    if ! apt-cache show "${missing[0]}" >/dev/null 2>&1 || [ -z "$(ls -A /var/lib/apt/lists 2>/dev/null)" ]; then
        as_root apt-get update -qq
    fi
    install_quietly "${missing[@]}" || {
        as_root apt-get update -qq
        install_quietly "${missing[@]}"
    }
    for package in "${missing[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            die "could not install $package; try: apt-get update && apt-get install $package"
    done
}

port_is_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the kernel's ephemeral range, so that no outgoing connection takes it meanwhile.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        port_is_taken "$port" || {
            echo "$port"
            return
        }
    done
    die "found no free TCP port on 127.0.0.1"
}

build() {
    local preset=$1
    shift
    say "Building ($preset)"
    mkdir -p "$top/build"
    if [ ! -f "$top/build/$preset/build.ninja" ]; then
        (cd "$top" && cmake --preset "$preset" "$@" >"$top/build/$preset.configure.log" 2>&1) || {
            cat "$top/build/$preset.configure.log" >&2
            die "cmake could not configure the $preset build"
        }
    fi
    (cd "$top" && cmake --build --preset "$preset") || die "the $preset build failed"
}
