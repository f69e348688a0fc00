#!/usr/bin/env bash
# bash tests/vm/policy.sh: the policy of the boot with SELinux, in its compiler's language (secilc(8)).
#
# Everything is kernel_t, and allowed what is not named here. Containers are box_t: they read what is box_file_t and of
# categories that they have, and what has no label of its own; nothing that is secret_t. other_t is a label to enter, never_t
# one that nobody may.
set -euo pipefail

sids="kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet icmp_socket tcp_socket
  sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull"
# What is to be given a label needs a class, if one without permissions that could be denied.
others="dir lnk_file chr_file blk_file fifo_file sock_file"
processes="kernel_t box_t other_t never_t" files="file_t box_file_t secret_t"

cat <<END
(handleunknown allow)
(mls true)
(class process (transition dyntransition setexec))
(class process2 (nnp_transition))
(class file (read))
$(for class in $others; do echo "(class $class ())"; done)
(classorder (process process2 file $others))
(policycap nnp_nosuid_transition)

(sensitivity s0)
(sensitivityorder (s0))
$(printf '(category c%d)\n' {0..1023})
(categoryorder ($(printf 'c%d ' {0..1023})))
(sensitivitycategory s0 (range c0 c1023))
(level low (s0))
(level high (s0 (range c0 c1023)))
(levelrange all (low high))

(user u)
(role r)
(userrole u r)
(userlevel u low)
(userrange u all)
$(for type in $processes $files; do echo "(type $type) (roletype r $type)"; done)
(typeattribute processes)
(typeattributeset processes ($processes))
(typeattribute files)
(typeattributeset files ($files))

(allow kernel_t self (process (setexec)))
(allow kernel_t box_t (process (transition)))
(allow kernel_t box_t (process2 (nnp_transition)))
(allow kernel_t other_t (process (transition)))
(allow kernel_t other_t (process2 (nnp_transition)))
(allow kernel_t processes (file (read)))
(allow kernel_t files (file (read)))
(allow other_t processes (file (read)))
(allow other_t files (file (read)))
(allow box_t processes (file (read)))
(allow box_t file_t (file (read)))
(allow box_t box_file_t (file (read)))
(mlsconstrain (file (read)) (or (neq t1 box_t) (dom h1 h2)))

(context kernel (u r kernel_t all))
(context file (u r file_t (low low)))
(context system (u r kernel_t (low low)))
(defaultrange (file dir) target low)
$(for sid in $sids; do
  case $sid in unlabeled | fs | file | file_labels | devnull) echo "(sid $sid) (sidcontext $sid file)" ;; *) echo "(sid $sid) (sidcontext $sid kernel)" ;; esac
done)
(sidorder ($sids))
(fsuse xattr ext4 file)
(fsuse xattr overlay file)
$(for name in tmpfs devtmpfs devpts mqueue; do echo "(fsuse trans $name file)"; done)
(fsuse task pipefs file)
(fsuse task sockfs file)
(genfscon proc "/" system)
(genfscon sysfs "/" system)
END
