/* The floor: the system calls that one `run` can't do without, and nothing else.
 *
 * floor [--bare] [--seccomp FILE] LOWER BASE [GROUP[,FILE=VALUE...]...]
 *
 * A turn for each line of standard input, answered by a line with its time in milliseconds: so that turns can
 * be taken between those of a runtime, under the same load.
 *
 * Each turn makes the cgroups below GROUP with the limits given, a directory with its records, a supervising
 * process, namespaces, an overlay, Docker's default mounts, masks and read-only paths, raises the loopback
 * interface, leaves the host's session keyring, drops capabilities, loads the seccomp program in FILE, runs
 * /bin/true in it, and removes all again. It checks nothing that a container runtime must check, resolves no path
 * safely, compiles no filter, and copies no output; a runtime's time is given as a ratio to it. With --bare the
 * loopback, keyring, capabilities, limits and seccomp are left out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) { perror(what); _exit(1); }
static void check(int r, const char *what) { if (r < 0) die(what); }

/* A cgroup directory to work below, and what is written into each that is made there. */
struct group {
    char *base, *limits[8];
    int count, v2;
};

static void put(const char *path, const char *text) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    check(fd, path);
    check(write(fd, text, strlen(text)), path);
    close(fd);
}

static void mount_fs(const char *type, const char *target, unsigned long flags, const char *data) {
    mkdir(target, 0755);
    check(mount(type, target, type, flags, data), target);
}

static void bind_file(const char *from, const char *to) {
    int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
    check(mount(from, to, NULL, MS_BIND, NULL), to);
}

static const char *masked[] = {"proc/acpi", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
    "proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/devices/virtual/powercap",
    "sys/firmware", "proc/asound"};
static const char *readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
static const char *devices[] = {"null", "zero", "full", "random", "urandom", "tty"};

static void mounts(struct group *groups, int n, const char *id) {
    char path[512], from[512];
    mount_fs("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_fs("tmpfs", "dev", MS_NOSUID, "mode=755,size=64m");
    mount_fs("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        snprintf(from, sizeof from, "/dev/%s", devices[i]);
        snprintf(path, sizeof path, "dev/%s", devices[i]);
        bind_file(from, path);
    }
    mount_fs("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m");
    mount_fs("mqueue", "dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_fs("sysfs", "sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    mount_fs("tmpfs", "sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755");
    for (int i = 0; i < n; i++) {
        snprintf(from, sizeof from, "%s/floor/%s", groups[i].base, id);
        snprintf(path, sizeof path, "sys/fs/cgroup/%d", i);
        mkdir(path, 0755);
        check(mount(from, path, NULL, MS_BIND, NULL), path);
    }
    mount_fs("tmpfs", "dev/files", MS_NOSUID | MS_NODEV, "mode=755");
    put("dev/files/hosts", "127.0.0.1 localhost\n"), put("dev/files/hostname", "floor\n"), put("dev/files/resolv.conf", "");
    bind_file("dev/files/hosts", "etc/hosts"), bind_file("dev/files/hostname", "etc/hostname");
    bind_file("dev/files/resolv.conf", "etc/resolv.conf");
    symlink("/proc/self/fd", "dev/fd"), symlink("/proc/self/fd/0", "dev/stdin"), symlink("/proc/self/fd/1", "dev/stdout");
    symlink("/proc/self/fd/2", "dev/stderr"), symlink("pts/ptmx", "dev/ptmx"), symlink("/proc/kcore", "dev/core");
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
        struct stat st;
        if (stat(masked[i], &st) < 0) continue;
        mount(S_ISDIR(st.st_mode) ? "dev/mqueue" : "/dev/null", masked[i], NULL, MS_BIND, NULL);
    }
    for (size_t i = 0; i < sizeof readonly / sizeof *readonly; i++)
        if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) == 0)
            mount(NULL, readonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
}

static int bare;
static struct sock_fprog filter;

/* As a runtime has it ready: compiled before. */
static void read_filter(const char *path) {
    static struct sock_filter program[BPF_MAXINSNS];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd, path);
    ssize_t size = read(fd, program, sizeof program);
    check(size, path);
    close(fd);
    filter = (struct sock_fprog){.len = size / sizeof *program, .filter = program};
}

static void load_filter(void) {
    if (filter.len) check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
}

static void raise_loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(ioctl(fd, SIOCSIFFLAGS, &request), "loopback");
    close(fd);
}

/* Docker's fourteen stay. */
static void drop_capabilities(void) {
    const uint64_t keep = 0xa80425fb;
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        if (!(keep >> i & 1)) prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{(uint32_t)keep, (uint32_t)keep, 0}};
    check(syscall(SYS_capset, &header, data), "capset");
}

static void enter_groups(struct group *groups, int n, const char *id) {
    char path[512];
    for (int i = 0; i < n; i++) {
        if (groups[i].v2) continue;
        snprintf(path, sizeof path, "%s/floor/%s/tasks", groups[i].base, id);
        put(path, "0");
    }
}

static void init(const char *lower, const char *dir, struct group *groups, int n, const char *id) {
    char text[1024];
    enter_groups(groups, n, id);
    if (!bare) syscall(SYS_keyctl, 1 /* join a new session keyring */, NULL);
    check(unshare(CLONE_NEWCGROUP), "cgroup namespace");
    if (!bare) raise_loopback();
    check(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "propagation");
    snprintf(text, sizeof text, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, dir, dir);
    check(mount("overlay", dir, "overlay", MS_NODEV, text), "overlay");
    check(chdir(dir), dir);
    mounts(groups, n, id);
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount");
    check(sethostname("floor", 5), "sethostname");
    /* Before the capabilities go: without no_new_privs a filter takes CAP_SYS_ADMIN. */
    if (!bare) load_filter(), drop_capabilities();
    char *argv[] = {"true", NULL}, *envp[] = {NULL};
    execve("/bin/true", argv, envp);
    die("/bin/true");
}

/* A cgroup is busy for a moment after its last process has ended; for longer, somebody else is in it. */
static void remove_group(const char *path) {
    struct timespec pause = {.tv_nsec = 20000};
    for (int tries = 0; rmdir(path) < 0; tries++) {
        if (errno != EBUSY || tries == 100000) die(path);
        if (tries > 100) nanosleep(&pause, NULL);
    }
}

/* The descriptor of the v2 cgroup that the init is born in, if there is one. */
static int birthplace(struct group *groups, int n, const char *id) {
    char path[512];
    for (int i = 0; i < n; i++) {
        if (!groups[i].v2) continue;
        snprintf(path, sizeof path, "%s/floor/%s", groups[i].base, id);
        return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return -1;
}

static void supervise(const char *lower, const char *dir, struct group *groups, int n, const char *id) {
    int out[2], err[2], status, cgroup = birthplace(groups, n, id);
    char path[512], byte;
    setsid();
    check(pipe2(out, O_CLOEXEC), "pipe"), check(pipe2(err, O_CLOEXEC), "pipe");
    struct clone_args args = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, .exit_signal = SIGCHLD};
    if (cgroup >= 0) args.flags |= CLONE_INTO_CGROUP, args.cgroup = cgroup;
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    check(pid, "clone3");
    if (pid == 0) {
        dup2(out[1], 1), dup2(err[1], 2);
        init(lower, dir, groups, n, id);
    }
    close(out[1]), close(err[1]);
    snprintf(path, sizeof path, "%s/state.json", dir);
    put(path, "{}");
    while (read(out[0], &byte, 1) > 0 || read(err[0], &byte, 1) > 0) {}
    check(waitpid(pid, &status, 0), "waitpid");
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/floor/%s", groups[i].base, id);
        remove_group(path);
    }
    snprintf(path, sizeof path, "%s/exit.json", dir);
    put(path, "{}");
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void make_group(struct group *group, const char *id) {
    char path[512], file[1024];
    snprintf(path, sizeof path, "%s/floor/%s", group->base, id);
    check(mkdir(path, 0755), path);
    for (int i = 0; i < group->count && !bare; i++) {
        char *value = strchr(group->limits[i], '=');
        snprintf(file, sizeof file, "%s/%.*s", path, (int)(value - group->limits[i]), group->limits[i]);
        put(file, value + 1);
    }
}

static const char *files[] = {"record.json", "lock", "state.json", "exit.json"};

static void turn(const char *lower, const char *base, struct group *groups, int n, int count) {
    char id[32], dir[256], path[512];
    int status;
    snprintf(id, sizeof id, "%d-%d", getpid(), count);
    snprintf(dir, sizeof dir, "%s/%s", base, id);
    check(mkdir(dir, 0700), dir);
    snprintf(path, sizeof path, "%s/upper", dir), mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/work", dir), mkdir(path, 0755);
    for (int i = 0; i < 2; i++) snprintf(path, sizeof path, "%s/%s", dir, files[i]), put(path, "{}");
    for (int i = 0; i < n; i++) make_group(&groups[i], id);
    pid_t pid = fork();
    if (pid == 0) supervise(lower, dir, groups, n, id);
    check(waitpid(pid, &status, 0), "waitpid");
    if (status) fprintf(stderr, "turn %d ended with %d\n", count, status), exit(1);
    for (int i = 0; i < 4; i++) snprintf(path, sizeof path, "%s/%s", dir, files[i]), unlink(path);
    const char *made[] = {"upper/etc/hosts", "upper/etc/hostname", "upper/etc/resolv.conf", NULL};
    for (int i = 0; made[i]; i++) snprintf(path, sizeof path, "%s/%s", dir, made[i]), unlink(path);
    const char *dirs[] = {"upper/etc", "upper/dev", "upper/proc", "upper/sys", "upper", "work/work", "work", NULL};
    for (int i = 0; dirs[i]; i++) snprintf(path, sizeof path, "%s/%s", dir, dirs[i]), rmdir(path);
    check(rmdir(dir), dir);
}

static void parents(struct group *groups, int n, int (*act)(const char *)) {
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/floor", groups[i].base);
        act(path);
    }
}

static int make(const char *path) { return mkdir(path, 0755); }

/* Takes the argument apart where it lies. */
static struct group group(char *argument) {
    struct group group = {.base = strtok(argument, ",")};
    char path[512], *limit;
    while ((limit = strtok(NULL, ","))) {
        if (!strchr(limit, '=') || group.count == 8) exit(2);
        group.limits[group.count++] = limit;
    }
    snprintf(path, sizeof path, "%s/cgroup.controllers", group.base);
    group.v2 = access(path, F_OK) == 0;
    return group;
}

int main(int argc, char **argv) {
    struct group groups[16];
    struct timespec a, b;
    char line[16];
    int n = 0;
    if (argc > 1 && strcmp(argv[1], "--bare") == 0) bare = 1, argc--, argv++;
    if (argc > 2 && strcmp(argv[1], "--seccomp") == 0) read_filter(argv[2]), argc -= 2, argv += 2;
    if (argc < 3 || argc - 3 > 16) return 2;
    for (; n < argc - 3; n++) groups[n] = group(argv[n + 3]);
    parents(groups, n, make);
    for (int i = 0; fgets(line, sizeof line, stdin); i++) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        turn(argv[1], argv[2], groups, n, i);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%.3f\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
        fflush(stdout);
    }
    parents(groups, n, rmdir);
    return 0;
}
