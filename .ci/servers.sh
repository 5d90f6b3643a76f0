# shellcheck shell=bash
#
# Real servers and build engines for the tests, all on 127.0.0.1, all below one scratch directory. To be sourced by bash;
# .ci/tools.sh must have run. Every function can be called in $(...) as well.
#
#   source .ci/servers.sh
#   servers_begin                            # makes the scratch directory, and ends everything when the shell ends
#   address=$(start_docker_registry NAME)    # -> 127.0.0.1:PORT, answering
#   use_buildah "$address"                   # buildah, for this shell and its children
#   buildah push "$address/x:1"
#   stop_server NAME
#
# start_docker_registry NAME [USER:PASSWORD]     Debian's docker-registry; no referrers API
# start_olareg NAME [OPTION...] [--basic USER:PASSWORD | --token USER:PASSWORD]
#                                                olareg, with referrers; an OPTION is olareg's own, for instance
#                                                --rate-limit=20 or --api-referrer=false
# use_buildah ADDRESS...                         environment for buildah; these registries are asked over http
# start_dockerd NAME [ADDRESS...]                a docker engine -> its socket; use_docker SOCKET exports DOCKER_HOST
# stop_server NAME, stop_all_servers
#
# A directory SERVERS_DIR/NAME holds each server's pid, address, log and data.

servers_tools=$(cd -- "${LUET_COSIGN_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/luet-cosign-tools}/bin" && pwd) || return
PATH=$servers_tools:$PATH:/usr/sbin
export PATH

servers_begin() {
    SERVERS_DIR=$(mktemp -d "${TMPDIR:-/tmp}/servers.XXXXXX")
    export SERVERS_DIR
    trap servers_end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

servers_end() {
    local status=$?
    stop_all_servers
    rm -rf "$SERVERS_DIR"
    return "$status"
}

servers_die() {
    printf 'servers.sh: %s\n' "$*" >&2
    return 1
}

# server_run NAME COMMAND...: starts it in the background, with its output in a file.
server_run() {
    local name=$1 dir=$SERVERS_DIR/$1
    shift
    mkdir -p "$dir"
    (
        cd "$dir" || exit 1
        exec "$@" </dev/null >>"$dir/log" 2>&1
    ) &
    echo $! >"$dir/pid"
}

# server_stops_by SIGNAL NAME: for one whose way of ending at SIGTERM takes too long; to be said before it runs.
server_stops_by() {
    mkdir -p "$SERVERS_DIR/$2"
    echo "$1" >"$SERVERS_DIR/$2/signal"
}

server_alive() { kill -0 "$(cat "$SERVERS_DIR/$1/pid")" 2>/dev/null; }

# server_wait NAME COMMAND...: until the command succeeds; fails with the log when the server dies or 30 s went by.
server_wait() {
    local name=$1 end=$((SECONDS + 30))
    shift
    until "$@"; do
        if ! server_alive "$name" || [ "$SECONDS" -gt "$end" ]; then
            tail -n 30 "$SERVERS_DIR/$name/log" >&2
            servers_die "$name did not start"
            return
        fi
        sleep 0.05
    done
}

# server_port NAME: the port that the system gave it. All servers are started with port 0, so no two can collide.
server_port() {
    local pid inodes
    pid=$(cat "$SERVERS_DIR/$1/pid")
    inodes=$(readlink "/proc/$pid/fd/"* 2>/dev/null | sed -n 's/^socket:\[\([0-9]*\)\]$/\1/p')
    awk -v inodes="$inodes" '
        BEGIN { split(inodes, list, /[ \n]+/); for (i in list) own[list[i]] = 1 }
        $4 == "0A" && ($10 in own) { split($2, local, ":"); print local[2]; found = 1; exit }
        END { exit !found }' /proc/net/tcp | { read -r hex && echo $((16#$hex)); }
}

server_has_port() { server_port "$1" >"$SERVERS_DIR/$1/port"; }

# answers_http ADDRESS: whether GET /v2/ has an answer, be it that one has to log in.
answers_http() {
    local line
    {
        exec 3<>"/dev/tcp/${1%:*}/${1#*:}" &&
            printf 'GET /v2/ HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" >&3 &&
            read -r -t 5 line <&3
        exec 3>&-
    } 2>/dev/null
    [[ ${line-} == HTTP/* ]]
}

# server_address NAME: prints the address once the server answers.
server_address() {
    local address
    server_wait "$1" server_has_port "$1" || return
    address=127.0.0.1:$(cat "$SERVERS_DIR/$1/port")
    server_wait "$1" answers_http "$address" || return
    echo "$address" | tee "$SERVERS_DIR/$1/address"
}

start_docker_registry() {
    local name=$1 login=${2-} dir=$SERVERS_DIR/$1
    mkdir -p "$dir/data"
    {
        echo 'version: 0.1'
        echo 'log: {level: info, accesslog: {disabled: false}}'
        echo "storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}"
        echo 'http: {addr: "127.0.0.1:0"}'
        [ -z "$login" ] || echo "auth: {htpasswd: {realm: test, path: $dir/htpasswd}}"
    } >"$dir/config.yml"
    [ -z "$login" ] || htpasswd -nbB -C 5 "${login%%:*}" "${login#*:}" >"$dir/htpasswd" || return
    server_run "$name" docker-registry serve "$dir/config.yml"
    server_address "$name"
}

start_olareg() {
    local name=$1 dir=$SERVERS_DIR/$1 options=() login='' mode=''
    shift
    mkdir -p "$dir"
    while [ $# -gt 0 ]; do
        case $1 in
            --basic | --token) mode=$1 login=$2 && shift ;;
            *) options+=("$1") ;;
        esac
        shift
    done
    if [ -n "$login" ]; then
        olareg_users "$login" >"$dir/users.yml" || return
        options+=("${mode/--basic/--auth-basic}")
        options=("${options[@]/#--token/--auth-token-opaque}")
        options+=("$dir/users.yml")
    fi
    if [ "$mode" = --token ]; then
        olareg_with_token "$name" "${options[@]}"
    else
        olareg_run "$name" --port 0 "${options[@]}"
        server_address "$name"
    fi
}

olareg_run() {
    local name=$1
    shift
    server_run "$name" olareg serve --addr 127.0.0.1 --store-type mem --api-delete --api-blob-delete --api-sparse-image \
        --verbosity info "$@"
}

# The token service's address is part of the challenge, so the port has to be known before: one that the system just
# gave, and took back. Should someone else be quicker, the next one is tried.
olareg_with_token() {
    local name=$1 port try
    shift
    for try in 1 2 3 4 5; do
        olareg_run "$name" --port 0 "$@"
        server_wait "$name" server_has_port "$name" || return
        port=$(cat "$SERVERS_DIR/$name/port")
        server_kill "$name"
        olareg_run "$name" --port "$port" --external-url "http://127.0.0.1:$port" "$@"
        if server_address "$name" 2>"$SERVERS_DIR/$name/try-$try"; then return; fi
    done
    servers_die "$name: no free port"
}

olareg_users() {
    local user=${1%%:*} hash
    hash=$(htpasswd -nbB -C 5 "$user" "${1#*:}") || return
    cat <<EOT
users: {"$user": {cred: "${hash#*:}"}}
acls:
  - {repo: "*", members: ["$user"], access: [read, write, delete]}
  - {repo: "", members: ["$user"], access: [read]}
EOT
}

# use_buildah ADDRESS...: no daemon, no mounts; a directory of images of its own.
use_buildah() {
    local dir=$SERVERS_DIR/buildah address
    mkdir -p "$dir"
    printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$dir/storage" "$dir/run" >"$dir/storage.conf"
    for address in "$@"; do
        printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$address"
    done >"$dir/registries.conf"
    export CONTAINERS_STORAGE_CONF=$dir/storage.conf CONTAINERS_REGISTRIES_CONF=$dir/registries.conf
    export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
}

# start_dockerd NAME [ADDRESS...]: prints the path of its socket. It touches no firewall and makes no bridge.
start_dockerd() {
    local name=$1 dir=$SERVERS_DIR/$1 address options=()
    shift
    mkdir -p "$dir"
    for address in "$@"; do options+=(--insecure-registry "$address"); done
    server_run "$name" dockerd --data-root "$dir/data" --exec-root "$dir/exec" -H "unix://$dir/docker.sock" \
        -p "$dir/dockerd.pid" --iptables=false --ip6tables=false --bridge=none "${options[@]}"
    server_wait "$name" docker_answers "$dir/docker.sock" || return
    echo "$dir/docker.sock" | tee "$dir/address"
}

docker_answers() { [ -S "$1" ] && docker -H "unix://$1" version >/dev/null 2>&1; }

use_docker() { export DOCKER_HOST=unix://$1 DOCKER_BUILDKIT=0; }

# server_kill NAME: asks it to end, and makes it after 10 s. Its children (dockerd has containerd) end with it.
server_kill() {
    local pid end=$((SECONDS + 10))
    [ -e "$SERVERS_DIR/$1/pid" ] || return 0
    pid=$(cat "$SERVERS_DIR/$1/pid")
    kill "-$(cat "$SERVERS_DIR/$1/signal" 2>/dev/null || echo TERM)" "$pid" 2>/dev/null || true
    { # the shell's own words about who was killed
        while server_running "$pid"; do
            [ "$SECONDS" -le "$end" ] || kill -KILL "$pid" || true
            sleep 0.05
        done
        wait "$pid" || true
    } 2>/dev/null
    rm -f "$SERVERS_DIR/$1/pid"
}

# A process that has ended, but that nobody waited for yet, is a zombie: not running.
server_running() { [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) == [!Z]* ]]; }

stop_server() {
    server_kill "$1"
    # What dockerd may have left mounted would keep its directory alive.
    awk -v dir="$SERVERS_DIR/$1/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r path; do
        umount -l "$path" || true
    done
    rm -rf "${SERVERS_DIR:?}/$1"
}

stop_all_servers() {
    local dir
    for dir in "$SERVERS_DIR"/*/; do
        [ ! -e "$dir/pid" ] || stop_server "$(basename -- "$dir")"
    done
}
