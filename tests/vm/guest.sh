# What is checked in the guest. Prints "CHECK name ok" or "CHECK name failed: ..." for each point.
export PATH=/bin HOME=/root DOCKER_HOST=unix:///run/davit.sock
mode=$(sed 's/.*davit\.cgroup=\([a-z0-9]*\).*/\1/' /proc/cmdline)

check() { # NAME WANTED GOT
    if [ "$2" = "$3" ]; then
        echo "CHECK $1 ok"
    else
        echo "CHECK $1 failed: wanted '$2', got '$3'"
    fi
}

end() {
    echo "daemon's log:"
    cat /tmp/log
    echo "GUEST END"
    poweroff -f
}

mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
ip link set lo up
if [ "$mode" = v1 ]; then
    mount -t tmpfs cgroup /sys/fs/cgroup
    for controller in memory cpu pids cpuset devices freezer; do
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" "$controller" "/sys/fs/cgroup/$controller"
    done
    memory_max=/sys/fs/cgroup/memory/memory.limit_in_bytes
    pids_max=/sys/fs/cgroup/pids/pids.max
    cpu='cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us'
else
    mount -t cgroup2 cgroup /sys/fs/cgroup
    memory_max=/sys/fs/cgroup/memory.max
    pids_max=/sys/fs/cgroup/pids.max
    cpu='cat /sys/fs/cgroup/cpu.max'
fi
echo "kernel $(uname -r), cgroup $mode"

davit daemon --data-root /var/lib/davit --run-dir /run/davit --host "$DOCKER_HOST" >/tmp/log 2>&1 &
daemon=$!
until [ -S /run/davit.sock ]; do
    kill -0 $daemon 2>/dev/null || {
        echo "CHECK start failed: the daemon ended"
        end
    }
    usleep 100000
done

mkdir -p /tmp/image/bin
cp /bin/busybox /tmp/image/bin/
/bin/busybox --install -s /tmp/image/bin 2>/dev/null
tar c -C /tmp/image . | davit import - box:1 >/dev/null
run="davit run --rm --network none"

check output "hello 1" "$($run box:1 sh -c 'echo hello $$')"
check memory 67108864 "$($run --memory 64m box:1 cat $memory_max)"
check pids 20 "$($run --pids-limit 20 box:1 cat $pids_max)"
check cpu "50000 100000" "$(echo $($run --cpus 0.5 box:1 sh -c "$cpu"))"
$run --memory 16m --memory-swap 16m box:1 dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null
check oom 137 $?
$run box:1 no-such-command 2>/dev/null
check missing_command 127 $?
check read_only "1000 refused" \
    "$($run --read-only -u 1000:1000 box:1 sh -c 'echo $(id -u) $(touch /x 2>/dev/null || echo refused)')"
check terminal "/dev/console" "$($run -t box:1 sh -c 'ls /dev/console' | tr -d '\r')"
check hidden 0 "$($run box:1 sh -c 'cat /proc/keys | wc -c')"
davit run -d --network none --name long box:1 sleep 1000 >/dev/null
check state running "$(davit inspect -f '{{.State.Status}}' long)"
davit stop -t 0 long >/dev/null
check killed 137 "$(davit inspect -f '{{.State.ExitCode}}' long)"
davit rm long >/dev/null
check host_network lo "$(davit run --rm --network host box:1 ls /sys/class/net)"
if [ "$mode" = v2 ]; then
    bridge=page
    davit run -d --name web -p 8080:80 box:1 sh -c \
        'mkdir /www; echo page >/www/index.html; httpd -p 80 -h /www; echo ready; exec sleep 1000' >/dev/null
    until davit logs web | grep -q ready || ! davit inspect web >/dev/null; do :; done
    got=$(wget -qO- http://127.0.0.1:8080/ 2>&1)
    # A socket of any cgroup goes straight to the container: the kernel has it so, whatever the
    # program is told.
    mkdir /sys/fs/cgroup/elsewhere
    mkfifo /tmp/held
    exec 9<>/tmp/held
    (
        echo 0 >/sys/fs/cgroup/elsewhere/cgroup.procs
        exec nc 127.0.0.1 8080 <&9 >/dev/null
    ) &
    client=$!
    peer=
    until [ -n "$peer" ] || ! kill -0 $client; do
        peer=$(netstat -tn | awk '$6 == "ESTABLISHED" && $5 ~ /:(80|8080)$/ { print $5 }')
    done
    wanted_peer=$(davit inspect -f '{{.NetworkSettings.IPAddress}}' web):80
    kill $client
    davit rm -f web >/dev/null
else
    bridge="bridge networks need eBPF, which this host does not let davit use: no cgroup2 hierarchy is mounted"
    got=$(davit run --rm box:1 true 2>&1 | grep -o "$bridge")
fi
check bridge_network "$bridge" "$got"
check root_hooks "$wanted_peer" "$peer" # Nothing and nothing without bridge networks.

# Links that hang on a VLAN, which is made for them. Names need eBPF.
hanging() { # DRIVER MODE
    davit network create -d "$1" -o parent=up0.7 -o "$1_mode=$2" --subnet 10.9.0.0/24 lan >/dev/null
    davit run -d --name far --network lan --ip 10.9.0.9 box:1 sh -c \
        'mkdir /www; echo page >/www/index.html; httpd -p 80 -h /www; echo ready; exec sleep 1000' >/dev/null
    until davit logs far | grep -q ready || ! davit inspect far >/dev/null; do :; done
    [ "$mode" = v2 ] && name=far || name=10.9.0.9
    davit run --rm --network lan box:1 wget -qO- "http://$name/" 2>&1
    davit rm -f far >/dev/null
    davit network rm lan >/dev/null
}
ip link add up0 type veth # Busybox leaves its peer's name to the kernel.
for link in up0 $(ls /sys/class/net | grep '^veth'); do
    ip link set "$link" up
done
check macvlan page "$(hanging macvlan bridge)"
check ipvlan_l2 page "$(hanging ipvlan l2)"
check ipvlan_l3 page "$(hanging ipvlan l3)"
check ipvlan_l3s page "$(hanging ipvlan l3s)"
check vlan_left "" "$(ip link | grep -o 'up0\.7')"
check containers_left "" "$(davit ps -aq)"
# Those of sandboxes that wait for containers are no leak.
cgroups_left() {
    find /sys/fs/cgroup -path '*davit/*' -type d | while read -r directory; do
        [ -e "/run/davit/sandboxes/${directory##*/}" ] || echo "$directory"
    done
}
check cgroups_left "" "$(cgroups_left)"
end
