/* What a host may count on: the library leaves the process as it was and the machine as it was.
 *
 * A snapshot of descriptors, threads, signals, umask, directory and environment is taken, containers are run in
 * every way, from one thread and from eight, and the second snapshot must be the same. SIGCHLD must not come while
 * that goes on, and the host's own child must still be there to be waited for.
 *
 *     host IMAGE STORE
 */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* A text that grows. */
struct text {
    char *start;
    size_t length, room;
};

static void add(struct text *text, const char *format, ...) {
    va_list arguments;
    for (;;) {
        va_start(arguments, format);
        size_t left = text->room - text->length;
        size_t wanted = (size_t)vsnprintf(left ? text->start + text->length : NULL, left, format, arguments);
        va_end(arguments);
        if (wanted < left) {
            text->length += wanted;
            return;
        }
        text->room = 2 * (text->room + wanted + 1);
        text->start = realloc(text->start, text->room);
        CHECK(text->start);
    }
}

static void add_descriptors(struct text *text) {
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        int fd = atoi(entry->d_name);
        char link[256] = "";
        if (entry->d_name[0] == '.' || fd == dirfd(dir)) continue;
        CHECK(readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1) > 0);
        add(text, "fd %d %s flags %x\n", fd, link, (unsigned)fcntl(fd, F_GETFL));
    }
    closedir(dir);
}

/* What the kernel says of the process; it changes with nothing that the test itself does. */
static void add_status(struct text *text) {
    static const char *const words[] = {"Umask:",  "Threads:", "Uid:",    "Gid:",     "Groups:", "SigBlk:",
                                        "SigIgn:", "SigCgt:",  "CapEff:", "CapInh:",  "CapAmb:", "NoNewPrivs:",
                                        "Seccomp:"};
    FILE *file = fopen("/proc/self/status", "re");
    CHECK(file);
    for (char line[1024]; fgets(line, sizeof line, file);)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (!strncmp(line, words[i], strlen(words[i]))) add(text, "%s", line);
    fclose(file);
}

static void add_signals(struct text *text) {
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action)) continue;
        add(text, "signal %d handler %lx flags %x\n", number, (unsigned long)action.sa_handler,
            (unsigned)action.sa_flags);
    }
    stack_t stack;
    CHECK(!sigaltstack(NULL, &stack));
    add(text, "signal stack %p %d\n", stack.ss_sp, stack.ss_flags);
}

static void add_attributes(struct text *text) {
    char directory[4096];
    int subreaper = -1, death_signal = -1;
    CHECK(getcwd(directory, sizeof directory));
    CHECK(!prctl(PR_GET_CHILD_SUBREAPER, &subreaper) && !prctl(PR_GET_PDEATHSIG, &death_signal));
    add(text, "cwd %s subreaper %d death signal %d dumpable %d\n", directory, subreaper, death_signal,
        prctl(PR_GET_DUMPABLE));
    for (char **variable = environ; *variable; variable++) add(text, "env %s\n", *variable);
}

static char *descriptors(void) {
    struct text text = {0};
    add_descriptors(&text);
    return text.start;
}

static char *snapshot(void) {
    struct text text = {0};
    add_status(&text);
    add_signals(&text);
    add_attributes(&text);
    return text.start;
}

/* Compares and frees. */
static void same(char *before, char *after) {
    if (strcmp(before, after)) {
        fprintf(stderr, "before:\n%s\nafter:\n%s\n", before, after);
        exit(1);
    }
    free(before), free(after);
}

/* How many descriptors are open, and how many of them an exec would pass on. */
static void count_descriptors(int *open, int *passed_on) {
    *open = *passed_on = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        *open += flags >= 0;
        *passed_on += flags >= 0 && !(flags & FD_CLOEXEC);
    }
}

static volatile sig_atomic_t child_signals;

static void on_child(int number) {
    (void)number;
    child_signals++;
}

/* A child of the host's own, which ends when the pipe is closed: the library must neither reap it nor keep the pipe. */
static pid_t own_child(int *until) {
    int ends[2];
    CHECK(!pipe(ends));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 7 : 8);
    }
    close(ends[0]);
    *until = ends[1];
    return child;
}

static void a_run(const sampan_engine *engine, const char *image, const char *script, int32_t code) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_output *output = NULL;
    options.image = image;
    options.command = (const char *const[]){"sh", "-c", script, NULL};
    WORKS(sampan_engine_run(engine, &options, NULL, NULL, &output, &err));
    CHECK(output->exit->code == code);
    sampan_output_free(output);
}

/* What the container sees: three streams, the directory of `ls`, and nothing of the host's. */
static void no_descriptor_goes_in(const sampan_engine *engine, const char *image) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_output *output = NULL;
    options.image = image;
    options.command = (const char *const[]){"ls", "/proc/self/fd", NULL};
    WORKS(sampan_engine_run(engine, &options, NULL, NULL, &output, &err));
    CHECK(output->stdout_len == 8 && !memcmp(output->stdout_data, "0\n1\n2\n3\n", 8));
    sampan_output_free(output);
}

static char ids[16][128];
static size_t id_count;

static void a_life(const sampan_engine *engine, const char *image, sampan_tie tie) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_container *container = NULL;
    const double soon = 0.1;
    options.image = image;
    options.command = (const char *const[]){"sleep", "1000", NULL};
    options.tie = tie;
    options.stop_timeout = &soon;
    WORKS(sampan_engine_spawn(engine, &options, NULL, NULL, NULL, &container, &err));
    snprintf(ids[id_count++], sizeof ids[0], "%s", sampan_container_id(container));
    WORKS(sampan_container_restart(container, NULL, NULL, &err));
    WORKS(sampan_container_stop(container, NULL, NULL, &err));
    WORKS(sampan_container_start(container, NULL, NULL, &err));
    FAILS(SAMPAN_ERROR_CONFLICT, sampan_container_remove(container, NULL, &err));
    FAILS(SAMPAN_ERROR_INVALID_ARGUMENT, sampan_container_wait_healthy(container, -1, NULL, &err));
    WORKS(sampan_container_kill(container, "9", &err));
    sampan_exit_status *status = NULL;
    WORKS(sampan_container_wait(container, -1, NULL, &status, &err));
    CHECK(status->code == 137 && status->signal && *status->signal == 9);
    sampan_exit_status_free(status);
    WORKS(sampan_container_remove(container, NULL, &err));
    sampan_container_free(container);
}

static void a_command(const sampan_container *container) {
    sampan_exec_options options = SAMPAN_EXEC_OPTIONS_INIT;
    sampan_exec_output *output = NULL;
    options.command = (const char *const[]){"sh", "-c", "printf $WORD; exit 6", NULL};
    options.env = (const sampan_pair[]){{"WORD", "inside"}, {NULL, NULL}};
    WORKS(sampan_container_exec(container, &options, NULL, &output, &err));
    CHECK(output->code == 6 && output->stdout_len == 6 && !memcmp(output->stdout_data, "inside", 6));
    sampan_exec_output_free(output);
}

static void a_command_meanwhile(const sampan_container *container) {
    sampan_exec_options options = SAMPAN_EXEC_OPTIONS_INIT;
    sampan_exec *exec = NULL;
    sampan_exit_status *status = NULL;
    char back[64];
    options.command = (const char *const[]){"sh", "-c", "read word; echo got $word; exit 4", NULL};
    options.interactive = true;
    WORKS(sampan_container_exec_start(container, &options, NULL, &exec, &err));
    int in = sampan_exec_take_stdin(exec), out = sampan_exec_take_stdout(exec);
    CHECK(sampan_exec_pid(exec) > 0 && in >= 0 && out >= 0);
    CHECK(sampan_exec_take_stdin(exec) == -1 && sampan_exec_take_stdout(exec) == -1);
    CHECK(write(in, "it\n", 3) == 3);
    CHECK(read(out, back, sizeof back) == 7 && !memcmp(back, "got it\n", 7));
    close(in), close(out);
    WORKS(sampan_exec_wait(exec, NULL, &status, &err));
    CHECK(status->code == 4);
    sampan_exit_status_free(status);
    sampan_exec_free(exec);
}

static void streams_are_joined(const sampan_engine *engine, const char *image) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_container *container = NULL;
    sampan_attachment *joined = NULL;
    sampan_exit_status *status = NULL;
    char back[64];
    options.image = image;
    options.interactive = options.tty = true;
    options.command = (const char *const[]){"sh", "-c", "stty -echo; echo on; read word; stty size; exit 4", NULL};
    WORKS(sampan_engine_create(engine, &options, NULL, NULL, &container, &err));
    snprintf(ids[id_count++], sizeof ids[0], "%s", sampan_container_id(container));
    FAILS(SAMPAN_ERROR_CONFLICT, sampan_container_attach(container, true, NULL, &joined, &err));
    WORKS(sampan_container_start(container, NULL, NULL, &err));
    WORKS(sampan_container_attach(container, true, NULL, &joined, &err));
    WORKS(sampan_attachment_resize(joined, 12, 34, &err));
    int in = sampan_attachment_take_stdin(joined), out = sampan_attachment_take_stdout(joined);
    CHECK(in >= 0 && out >= 0 && sampan_attachment_take_stderr(joined) == -1);
    CHECK(sampan_attachment_take_stdin(joined) == -1 && sampan_attachment_take_stdout(joined) == -1);
    CHECK(write(in, "it\n", 3) == 3);
    WORKS(sampan_attachment_wait(joined, NULL, &status, &err));
    CHECK(status->code == 4);
    size_t length = 0;
    for (ssize_t got; (got = read(out, back + length, sizeof back - length - 1)) > 0;) length += (size_t)got;
    back[length] = '\0';
    CHECK(strstr(back, "12 34\r\n"));
    close(in), close(out);
    sampan_exit_status_free(status);
    sampan_attachment_free(joined);
    WORKS(sampan_container_remove(container, NULL, &err));
    sampan_container_free(container);
}

/* More than its pipes hold, which nobody reads. */
static void a_command_that_nobody_listens_to(const sampan_container *container) {
    sampan_exec_options options = SAMPAN_EXEC_OPTIONS_INIT;
    sampan_exec *exec = NULL;
    sampan_exit_status *status = NULL;
    options.command = (const char *const[]){"sh", "-c", "yes | head -c 1000000; yes | head -c 1000000 >&2; exit 5", NULL};
    WORKS(sampan_container_exec_start(container, &options, NULL, &exec, &err));
    close(sampan_exec_take_stdout(exec)), close(sampan_exec_take_stderr(exec));
    WORKS(sampan_exec_discard_stdout(exec, &err));
    WORKS(sampan_exec_discard_stderr(exec, &err));
    WORKS(sampan_exec_wait(exec, NULL, &status, &err));
    CHECK(status->code == 5);
    sampan_exit_status_free(status);
    sampan_exec_free(exec);
}

static void it_is_watched_and_held(const sampan_container *container) {
    sampan_process_info_list *processes = NULL;
    sampan_container_stats *stats = NULL;
    sampan_container_info *info = NULL;
    WORKS(sampan_container_top(container, &processes, &err));
    CHECK(processes->len == 1 && processes->items[0] && !processes->items[1]);
    sampan_process_info_list_free(processes);
    WORKS(sampan_container_usage(container, &stats, &err));
    CHECK(stats->struct_size == sizeof *stats);
    sampan_container_stats_free(stats);
    sampan_stats_stream *readings = NULL;
    WORKS(sampan_container_stats_stream(container, 0.01, &readings, &err));
    for (int i = 0; i < 2; i++) {
        WORKS(sampan_stats_stream_next(readings, NULL, &stats, &err));
        CHECK(stats && !strcmp(stats->id, sampan_container_id(container)));
        sampan_container_stats_free(stats);
    }
    sampan_stats_stream_free(readings);
    const int64_t processes_at_most = 50;
    sampan_update_options update = SAMPAN_UPDATE_OPTIONS_INIT;
    update.pids_limit = &processes_at_most;
    WORKS(sampan_container_update(container, &update, &err));
    WORKS(sampan_container_pause(container, NULL, &err));
    WORKS(sampan_container_inspect(container, &info, &err));
    CHECK(info->status == SAMPAN_STATUS_PAUSED);
    sampan_container_info_free(info);
    WORKS(sampan_container_unpause(container, &err));
}

static void a_guest(const sampan_engine *engine, const char *image) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_remove_options remove = SAMPAN_REMOVE_OPTIONS_INIT;
    sampan_container *container = NULL;
    options.image = image;
    options.command = (const char *const[]){"sleep", "1000", NULL};
    WORKS(sampan_engine_spawn(engine, &options, NULL, NULL, NULL, &container, &err));
    snprintf(ids[id_count++], sizeof ids[0], "%s", sampan_container_id(container));
    a_command(container);
    a_command_meanwhile(container);
    a_command_that_nobody_listens_to(container);
    it_is_watched_and_held(container);
    remove.force = true;
    WORKS(sampan_container_remove(container, &remove, &err));
    sampan_container_free(container);
}

static void streams_are_the_host_s(const sampan_engine *engine, const char *image) {
    int in[2], out[2];
    CHECK(!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC));
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_stdio stdio = SAMPAN_STDIO_INIT;
    sampan_container *container = NULL;
    options.image = image;
    options.command = (const char *const[]){"cat", NULL};
    stdio.stdin_fd = &in[0];
    stdio.stdout_fd = &out[1];
    WORKS(sampan_engine_spawn(engine, &options, &stdio, NULL, NULL, &container, &err));
    snprintf(ids[id_count++], sizeof ids[0], "%s", sampan_container_id(container));
    close(in[0]), close(out[1]);
    CHECK(write(in[1], "there and back", 14) == 14);
    close(in[1]);
    char back[64];
    size_t length = 0;
    for (ssize_t got; (got = read(out[0], back + length, sizeof back - length)) > 0;) length += (size_t)got;
    CHECK(length == 14 && !memcmp(back, "there and back", 14));
    close(out[0]);
    sampan_exit_status *status = NULL;
    WORKS(sampan_container_wait(container, -1, NULL, &status, &err));
    CHECK(status->code == 0);
    sampan_exit_status_free(status);
    WORKS(sampan_container_remove(container, NULL, &err));
    sampan_container_free(container);
}

/* The whole log, at most three entries at a time: none is lost between two batches, and the end is an empty one. */
static void a_log_comes_in_batches(const sampan_engine *engine, const char *image) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_log_options follow = SAMPAN_LOG_OPTIONS_INIT;
    sampan_container *container = NULL;
    sampan_log *log = NULL;
    sampan_log_entry_list *entries = NULL;
    options.image = image;
    options.command = (const char *const[]){"seq", "10", NULL};
    follow.follow = true;
    WORKS(sampan_engine_spawn(engine, &options, NULL, NULL, NULL, &container, &err));
    snprintf(ids[id_count++], sizeof ids[0], "%s", sampan_container_id(container));
    WORKS(sampan_container_logs(container, &follow, &log, &err));
    int seen = 0;
    for (size_t got = 1; got;) {
        WORKS(sampan_log_next_batch(log, 3, NULL, &entries, &err));
        got = entries->len;
        CHECK(entries->struct_size == sizeof *entries && got <= 3 && !entries->items[got]);
        for (size_t i = 0; i < got; i++) {
            char line[16];
            int length = snprintf(line, sizeof line, "%d\n", ++seen);
            CHECK(entries->items[i]->len == (size_t)length && !memcmp(entries->items[i]->data, line, (size_t)length));
        }
        sampan_log_entry_list_free(entries);
    }
    CHECK(seen == 10);
    sampan_log_free(log);
    sampan_exit_status *status = NULL;
    WORKS(sampan_container_wait(container, -1, NULL, &status, &err));
    sampan_exit_status_free(status);
    WORKS(sampan_container_remove(container, NULL, &err));
    sampan_container_free(container);
}

static void what_fails_leaves_nothing(const sampan_engine *engine, const char *image) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_output *output = NULL;
    options.image = image;
    options.command = (const char *const[]){"no-such-command", NULL};
    FAILS(SAMPAN_ERROR_COMMAND_NOT_FOUND, sampan_engine_run(engine, &options, NULL, NULL, &output, &err));
    CHECK(!output);
}

struct waiter {
    const sampan_container *container;
    const sampan_cancel *cancel;
};

static void *wait_for_ever(void *argument) {
    struct waiter *waiter = argument;
    sampan_exit_status *status = NULL;
    FAILS(SAMPAN_ERROR_CANCELLED, sampan_container_wait(waiter->container, -1, waiter->cancel, &status, &err));
    CHECK(!status);
    return NULL;
}

/* Two threads wait on one handle, a third cancels both; it comes to the same whether they wait already or not yet. */
static void a_wait_is_cancelled_by_another_thread(const sampan_engine *engine, const char *image) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    sampan_container *container = NULL;
    sampan_cancel *cancel = NULL;
    options.image = image;
    options.command = (const char *const[]){"sleep", "1000", NULL};
    WORKS(sampan_engine_spawn(engine, &options, NULL, NULL, NULL, &container, &err));
    snprintf(ids[id_count++], sizeof ids[0], "%s", sampan_container_id(container));
    WORKS(sampan_cancel_new(&cancel, &err));
    struct waiter waiter = {container, cancel};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(!pthread_create(&threads[i], NULL, wait_for_ever, &waiter));
    WORKS(sampan_cancel_cancel(cancel, &err));
    for (int i = 0; i < 2; i++) CHECK(!pthread_join(threads[i], NULL));
    sampan_cancel_free(cancel);
    sampan_remove_options remove = SAMPAN_REMOVE_OPTIONS_INIT;
    remove.force = true;
    WORKS(sampan_container_remove(container, &remove, &err));
    sampan_container_free(container);
}

struct work {
    const sampan_engine *engine;
    const char *image;
};

static void *runs(void *argument) {
    const struct work *work = argument;
    for (int i = 0; i < 3; i++) a_run(work->engine, work->image, "exit 5", 5);
    return NULL;
}

static void eight_threads_at_once(const sampan_engine *engine, const char *image) {
    struct work work = {engine, image};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) CHECK(!pthread_create(&threads[i], NULL, runs, &work));
    for (int i = 0; i < 8; i++) CHECK(!pthread_join(threads[i], NULL));
}

/* The child of a fork can't use what its parent opened; it can free it, and open its own. */
static void a_fork_opens_its_own(sampan_engine *engine, const char *root, const char *image) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        sampan_image_info_list *images = NULL;
        FAILS(SAMPAN_ERROR_FORKED_HANDLE, sampan_engine_images(engine, &images, &err));
        CHECK(!images);
        sampan_engine_free(engine);
        sampan_engine *own = open_engine(root);
        a_run(own, image, "exit 4", 4);
        sampan_engine_free(own);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int not_ours(const char *path, const struct stat *stat, int kind, struct FTW *place) {
    (void)stat;
    for (size_t i = 0; i < id_count; i++)
        if (kind == FTW_D && !strcmp(path + place->base, ids[i])) {
            fprintf(stderr, "%s was left behind\n", path);
            return 1;
        }
    return 0;
}

static void *nothing(void *argument) { return argument; }

/* glibc takes a signal of its own for the first thread; this is not what the test is about. */
static void have_had_a_thread(void) {
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, nothing, NULL) && !pthread_join(thread, NULL));
}

/* The first container leaves what the next ones need: the helper, and what ties containers to this process. */
static void at_most_four_descriptors_stay(const sampan_engine *engine, const char *image) {
    int before, after, passed_on, still_passed_on;
    count_descriptors(&before, &passed_on);
    a_life(engine, image, SAMPAN_TIE_HOST);
    count_descriptors(&after, &still_passed_on);
    CHECK(after - before <= 4 && still_passed_on == passed_on);
}

static void pull(const sampan_engine *engine, const char *reference) {
    sampan_image_info *image = NULL;
    WORKS(sampan_engine_pull(engine, reference, NULL, NULL, NULL, &image, &err));
    sampan_image_info_free(image);
}

static void doctor(const sampan_engine *engine) {
    sampan_doctor_report *report = NULL;
    WORKS(sampan_engine_doctor(engine, &report, &err));
    CHECK(report->checks[0]);
    sampan_doctor_report_free(report);
}

static void all_that_can_be_done(const sampan_engine *engine, const char *image) {
    pull(engine, image);
    doctor(engine);
    a_run(engine, image, "exit 3", 3);
    no_descriptor_goes_in(engine, image);
    a_life(engine, image, SAMPAN_TIE_DETACHED);
    a_life(engine, image, SAMPAN_TIE_HOST);
    streams_are_the_host_s(engine, image);
    a_log_comes_in_batches(engine, image);
    what_fails_leaves_nothing(engine, image);
    a_guest(engine, image);
    streams_are_joined(engine, image);
    a_wait_is_cancelled_by_another_thread(engine, image);
    eight_threads_at_once(engine, image);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *image = argv[1], *root = argv[2];
    struct sigaction action = {.sa_handler = on_child};
    CHECK(!sigaction(SIGCHLD, &action, NULL));
    have_had_a_thread();
    int until;
    pid_t child = own_child(&until);
    char *before = snapshot(), *none = descriptors();
    sampan_engine *engine = open_engine(root);
    pull(engine, image);
    same(none, descriptors());
    at_most_four_descriptors_stay(engine, image);
    char *warm = descriptors();

    all_that_can_be_done(engine, image);
    CHECK(child_signals == 0);
    a_fork_opens_its_own(engine, root, image);
    CHECK(child_signals == 1);
    sampan_engine_free(engine);

    same(warm, descriptors());
    same(before, snapshot());
    CHECK(nftw("/sys/fs/cgroup", not_ours, 16, FTW_PHYS) != 1);
    close(until);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    puts("host: nothing of the process changed, and nothing was left behind");
    return 0;
}
