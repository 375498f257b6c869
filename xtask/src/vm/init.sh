#!/bin/sh
# The first process of the machine of `cargo xtask vm`.
export PATH=/usr/bin:/usr/sbin HOME=/root TMPDIR=/tmp
mount -n -t proc proc /proc
mount -n -t sysfs sysfs /sys
mount -n -t devtmpfs devtmpfs /dev
# The first file system cannot be left by pivot_root; one that is mounted over it can.
mount -n --bind / /mnt
for folder in proc sys dev; do mount -n --move /$folder /mnt/$folder; done
cd /mnt && mount -n --move . / && exec chroot . /bin/sh /scenarios
