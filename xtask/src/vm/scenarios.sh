#!/bin/sh
# What is played in the machine of `cargo xtask vm`: each scenario ends with a line that says whether it passed.
groups=/sys/fs/cgroup
wanted=$(sed -n 's/.*scenarios=\([^ ]*\).*/\1/p' /proc/cmdline)

scenario() { # NAME COMMAND…
    name=$1
    shift
    case ,$wanted, in ,, | *",$name,"*) ;; *) return ;; esac
    echo "scenario $name"
    if "$@"; then echo "vm: $name passed"; else echo "vm: $name failed"; fi
}

on_request() { # NAME COMMAND…: only where it is named, since not all of it passes (docs/decisions/confinement.md)
    case ,$wanted, in *",$1,"*) scenario "$@" ;; esac
}

as_user() {
    setpriv --reuid=1000 --regid=1000 --clear-groups "$@"
}

inside() { # GROUP COMMAND…: in a group of its own
    (
        echo 0 >"$groups/$1/cgroup.procs" || exit 1
        shift
        exec "$@"
    )
}

with_groups() {
    BULKHEAD_TEST_CONTROL_GROUPS=1 "$@"
}

delegate() { # GROUP: as `systemd-run --user --scope -p Delegate=yes` gives it
    echo '+memory +pids' >"$groups/cgroup.subtree_control"
    mkdir -p "$groups/$1"
    for file in . cgroup.procs cgroup.subtree_control cgroup.threads; do chown 1000:1000 "$groups/$1/$file"; done
}

# The group hands nothing on, and holds no other, after Bulkhead was there.
untouched() { # GROUP
    [ -z "$(cat "$groups/$1/cgroup.subtree_control")" ] && [ -z "$(find "$groups/$1" -name 'bulkhead-*')" ]
}

only_processes() {
    mkdir /tmp/memory
    mount -t cgroup -o memory none /tmp/memory || return 1
    with_groups /test control_group::processes
    result=$?
    umount /tmp/memory
    return "$result"
}

user_alone() {
    delegate alone
    with_groups inside alone setpriv --reuid=1000 --regid=1000 --clear-groups /test control_group && untouched alone
}

user_beside() {
    delegate given
    mkdir "$groups/given/shell"
    chown 1000:1000 "$groups/given/shell" "$groups/given/shell/cgroup.procs"
    echo '+memory +pids' >"$groups/given/cgroup.subtree_control"
    with_groups inside given/shell setpriv --reuid=1000 --regid=1000 --clear-groups /test control_group &&
        [ -z "$(find "$groups/given" -name 'bulkhead-*')" ]
}

# Neither a group of somebody else's nor one that others are in is touched.
not_given() {
    as_user /test control_group || return 1
    delegate shared
    (echo 0 >"$groups/shared/cgroup.procs" && exec sleep 1000) &
    sleep 1
    inside shared setpriv --reuid=1000 --regid=1000 --clear-groups /test control_group && untouched shared
    result=$?
    kill $!
    return "$result"
}

refused() { # TEXT COMMAND…: the test of what the host offers says this
    text=$1
    shift
    "$@" /test limits::this_host_offers_confinement | grep -F "$text"
}

put_up_loopback() { # SIOCSIFFLAGS, IFF_UP
    python3 -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))'
}

mount -n -t tmpfs -o mode=1777 none /tmp
put_up_loopback
mount -n -t cgroup2 -o nsdelegate none "$groups"
case $(cat /proc/cmdline) in
*lsm=*)
    scenario no-landlock refused 'the kernel has no Landlock' as_user
    ;;
*)
    scenario only-processes only_processes
    scenario root with_groups /test control_group
    scenario user-alone user_alone
    scenario user-beside user_beside
    scenario not-given not_given
    on_request whole with_groups /test
    on_request whole-without-groups as_user /test
    echo 0 >/proc/sys/user/max_user_namespaces
    scenario no-namespaces refused 'user namespaces are switched off' as_user
    ;;
esac
echo "vm: end"
echo o >/proc/sysrq-trigger
sleep 60
