#!/bin/sh
# kdl in one minute: examples/01-hello comes up, a service has its endpoints, and kdl says why, and why not.
#
# It uses real containers where Docker answers and has, or can pull, the image; else containers in memory. The cluster
# goes on running in a data folder of its own, and the last lines say how to stop it.
set -eu
cd "$(dirname "$0")/.."
KDL_DATA=${KDL_DATA:-${TMPDIR:-/tmp}/kdl-demo-$(id -u)}
export KDL_DATA
image=busybox:1.36

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

runtime=auto
if docker info >/dev/null 2>&1 && ! docker image inspect $image >/dev/null 2>&1; then
    echo "pulling $image …"
    if ! docker pull --quiet $image >/dev/null 2>&1; then
        echo "Docker answers but cannot pull $image: the demo runs on the fake runtime."
        runtime=fake
    fi
fi

kdl down --purge >/dev/null
show kdl up --detach --wait --runtime $runtime -f examples/01-hello
show kdl get pods -o wide
show kdl get services

pod=$(kdl get pods -l app=hello -o json | python -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["metadata"]["name"])')
echo
echo "# Why does the service send packets to this pod?"
show kdl why "services.endpoint(\"default/hello\", \"http\", _, 8080, \"default/$pod\")"
echo
echo "# Why may a stranger in the pod network not talk to it?"
show kdl whynot "network.allowed(\"10.244.200.200\", \"default/$pod\", \"TCP\", 8080)"

printf '\n%s\n' "The cluster goes on running. Stop it, and remove all that it made, with
    KDL_DATA=$KDL_DATA $(command -v kdl) down --purge"
