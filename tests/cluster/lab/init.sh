# PID 1's child in a node: sets the machine up as kdl finds a real one, and keeps a dockerd running unless told not to.
# NODE, DATA, SOCKET, RUNTIME, CGROUP and DOCKER_FLAGS come from the environment.
hostname "$NODE"
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run    # its own /run: its own xtables lock, docker socket and shims
mkdir -p /run/lock
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
echo '{}' > /run/daemon.json
while :; do
    while [ -e /run/dockerd.off ]; do sleep 0.05; done
    rm -f /run/docker*.pid /run/docker/containerd/containerd.pid
    dockerd --config-file /run/daemon.json --data-root "$DATA" --exec-root /run/docker --pidfile /run/dockerd.pid \
        -H "unix://$SOCKET" -H unix:///run/docker.sock --cgroup-parent "$CGROUP" --live-restore \
        --add-runtime lab="$RUNTIME" --default-runtime lab $DOCKER_FLAGS &
    wait $!
    sleep 0.1
done
