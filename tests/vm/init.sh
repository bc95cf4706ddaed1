#!/bin/busybox sh
# The first program of the guest: leave the initial file system, which pivot_root(2) refuses to leave.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in overlay llc stp bridge veth sch_ingress cls_bpf garp mrp 8021q macvlan ipvlan; do
    insmod "/$module.ko"
done
mount -t tmpfs -o size=800m root /new
cp -a /bin /lib /lib64 /guest.sh /new/
mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run /new/etc /new/root /new/var/lib
mount --move /proc /new/proc
mount --move /sys /new/sys
mount --move /dev /new/dev
exec switch_root /new /bin/sh /guest.sh
