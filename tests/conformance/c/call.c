/* One call: its words taken apart, the call made, its result told. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

struct handle {
    char *name;
    sampan_engine *engine;
    sampan_container *container;
    struct handle *next;
};

struct call {
    sampan_engine *engine;
    sampan_container *container;
    const char *result;
    char **plain;
    const struct record *record;
    void *options;
    double timeout;
    sampan_cancel *cancel;
    sampan_stdio streams;
    int files[3];
    const char *cancel_by, *cancel_on, *stop_at, *input;
    bool cancel_now;
    long long count;
    long long events;
};

typedef int32_t operation(struct call *call, sampan_error **err);

const char *test_image;
static sampan_engine *shared;
static struct handle *handles;

static void keep(const char *name, sampan_engine *engine, sampan_container *container) {
    struct handle *handle = grab(sizeof *handle);
    *handle = (struct handle){format("%s", name), engine, container, handles};
    handles = handle;
    if (container) set_value(format("%s.id", name), sampan_container_id(container));
}

void free_handles(void) {
    for (; handles; handles = handles->next) {
        sampan_engine_free(handles->engine);
        sampan_container_free(handles->container);
    }
}

/* A result of which all is told, and which is freed. */
#define TELL(call, type, made)                                                                                         \
    do {                                                                                                               \
        type *out = NULL;                                                                                              \
        int32_t code = (made);                                                                                         \
        if (!code) tell((call)->result, record_named(#type + sizeof "sampan_" - 1), out);                              \
        type##_free(out);                                                                                              \
        return code;                                                                                                   \
    } while (0)

#define TELL_LIST(call, type, made)                                                                                    \
    do {                                                                                                               \
        type##_list *out = NULL;                                                                                       \
        int32_t code = (made);                                                                                         \
        const char *name = #type + sizeof "sampan_" - 1;                                                               \
        if (!code) tell_list((call)->result, record_named(name), (const void *const *)out->items);                     \
        type##_list_free(out);                                                                                         \
        return code;                                                                                                   \
    } while (0)

static int32_t heard(const sampan_event *event, void *userdata) {
    struct call *call = userdata;
    char *path = format("events.%lld", call->events);
    tell_event(path, event);
    forget("events.last");
    tell_event("events.last", event);
    forget("events.len");
    set_number("events.len", ++call->events);
    return call->cancel_on && strcmp(value_of(format("%s.event", path)), call->cancel_on) == 0;
}

static sampan_progress watching(struct call *call) {
    sampan_progress progress = SAMPAN_PROGRESS_INIT;
    progress.event = heard;
    progress.userdata = call;
    return progress;
}

static int32_t do_mkdir(struct call *c, sampan_error **err) {
    (void)err;
    return mkdir(c->plain[0], 0777);
}

static int32_t do_fifo(struct call *c, sampan_error **err) {
    (void)err;
    return mkfifo(c->plain[0], 0700);
}

static int32_t do_write(struct call *c, sampan_error **err) {
    (void)err;
    uint8_t *bytes;
    size_t len;
    FILE *file = fopen(c->plain[0], "wb");
    if (!file) return -1;
    bool written = unescape(c->plain[1], &bytes, &len) && fwrite(bytes, 1, len, file) == len;
    return fclose(file) || !written ? -1 : 0;
}

static int32_t do_read(struct call *c, sampan_error **err) {
    (void)err;
    FILE *file = fopen(c->plain[0], "rb");
    if (!file) return -1;
    char *bytes = grab(1 << 16);
    size_t len = fread(bytes, 1, 1 << 16, file);
    set_bytes(c->result, bytes, len);
    return fclose(file);
}

static int32_t do_open(struct call *c, sampan_error **err) {
    sampan_engine *engine;
    int32_t code = sampan_engine_open(c->options, &engine, err);
    if (!code) keep(c->result, engine, NULL);
    return code;
}

static int32_t do_info(struct call *c, sampan_error **err) {
    TELL(c, sampan_engine_info, sampan_engine_inspect(c->engine, &out, err));
}

static int32_t do_doctor(struct call *c, sampan_error **err) {
    TELL(c, sampan_doctor_report, sampan_engine_doctor(c->engine, &out, err));
}

static int32_t do_pull(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    TELL(c, sampan_image_info,
         sampan_engine_pull(c->engine, c->plain[0], c->options, &progress, c->cancel, &out, err));
}

static int32_t do_images(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_image_info, sampan_engine_images(c->engine, &out, err));
}

static int32_t do_inspect_image(struct call *c, sampan_error **err) {
    TELL(c, sampan_image_info, sampan_engine_inspect_image(c->engine, c->plain[0], &out, err));
}

static int32_t do_tag(struct call *c, sampan_error **err) {
    return sampan_engine_tag(c->engine, c->plain[0], c->plain[1], err);
}

static int32_t do_remove_image(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_removed_image, sampan_engine_remove_image(c->engine, c->plain[0], c->options, &out, err));
}

static int32_t do_gc(struct call *c, sampan_error **err) {
    TELL(c, sampan_prune_report, sampan_engine_gc(c->engine, &out, err));
}

static int32_t do_create(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    sampan_container *container;
    int32_t code = sampan_engine_create(c->engine, c->options, &progress, c->cancel, &container, err);
    if (!code) keep(c->result, NULL, container);
    return code;
}

static int32_t do_spawn(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    sampan_container *container;
    int32_t code = sampan_engine_spawn(c->engine, c->options, &c->streams, &progress, c->cancel, &container, err);
    if (!code) keep(c->result, NULL, container);
    return code;
}

static int32_t do_run(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    TELL(c, sampan_output, sampan_engine_run(c->engine, c->options, &progress, c->cancel, &out, err));
}

static int32_t do_plan(struct call *c, sampan_error **err) {
    char *plan = NULL;
    int32_t code = sampan_engine_plan(c->engine, c->options, &plan, err);
    if (!code) set_text(c->result, plan);
    sampan_string_free(plan);
    return code;
}

static int32_t do_containers(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_container_info, sampan_engine_containers(c->engine, c->options, &out, err));
}

static int32_t do_events(struct call *c, sampan_error **err) {
    sampan_event_stream *stream;
    sampan_engine_event *event = NULL;
    long long count = 0;
    int32_t code = sampan_engine_events(c->engine, c->options, &stream, err);
    if (code) return code;
    while (!(code = sampan_event_stream_next(stream, c->cancel, &event, err)) && event) {
        tell(format("%s.%lld", c->result, count++), record_named("engine_event"), event);
        forget(format("%s.last", c->result));
        tell(format("%s.last", c->result), record_named("engine_event"), event);
        sampan_engine_event_free(event);
    }
    set_number(format("%s.len", c->result), count);
    sampan_event_stream_free(stream);
    return code;
}

static int32_t do_container(struct call *c, sampan_error **err) {
    sampan_container *container;
    int32_t code = sampan_engine_container(c->engine, c->plain[0], &container, err);
    if (!code) keep(c->result, NULL, container);
    return code;
}

static int32_t do_start(struct call *c, sampan_error **err) {
    return sampan_container_start(c->container, &c->streams, c->cancel, err);
}

static int32_t do_stop(struct call *c, sampan_error **err) {
    return sampan_container_stop(c->container, c->options, c->cancel, err);
}

static int32_t do_restart(struct call *c, sampan_error **err) {
    return sampan_container_restart(c->container, c->options, c->cancel, err);
}

static int32_t do_kill(struct call *c, sampan_error **err) {
    return sampan_container_kill(c->container, c->plain[0], err);
}

static int32_t do_wait(struct call *c, sampan_error **err) {
    TELL(c, sampan_exit_status, sampan_container_wait(c->container, c->timeout, c->cancel, &out, err));
}

static int32_t do_wait_healthy(struct call *c, sampan_error **err) {
    return sampan_container_wait_healthy(c->container, c->timeout, c->cancel, err);
}

struct text {
    char *bytes;
    size_t len;
};

static void append(struct text *text, const sampan_log_entry *entry) {
    char *longer = grab(text->len + entry->len + 1);
    if (text->len) memcpy(longer, text->bytes, text->len);
    if (entry->len) memcpy(longer + text->len, entry->data, entry->len);
    *text = (struct text){longer, text->len + entry->len};
}

/* False at the end, be it the log's or the one that was asked for. */
static bool next_entry(struct call *c, sampan_log *log, struct text *texts, long long *count, int32_t *code,
                       sampan_error **err) {
    sampan_log_entry *entry = NULL;
    *code = sampan_log_next(log, c->cancel, &entry, err);
    if (*code || !entry) return false;
    append(&texts[entry->stream == SAMPAN_STREAM_STDERR], entry);
    tell(format("%s.entries.%lld", c->result, (*count)++), record_named("log_entry"), entry);
    forget(format("%s.entries.last", c->result));
    tell(format("%s.entries.last", c->result), record_named("log_entry"), entry);
    bool end = c->stop_at && strcmp(escape(entry->data, entry->len), c->stop_at) == 0;
    sampan_log_entry_free(entry);
    return !end;
}

static int32_t do_logs(struct call *c, sampan_error **err) {
    sampan_log *log;
    struct text texts[2] = {{"", 0}, {"", 0}};
    long long count = 0;
    int32_t code = sampan_container_logs(c->container, c->options, &log, err);
    if (code) return code;
    while (next_entry(c, log, texts, &count, &code, err)) continue;
    set_number(format("%s.entries.len", c->result), count);
    set_bytes(format("%s.stdout", c->result), texts[0].bytes, texts[0].len);
    set_bytes(format("%s.stderr", c->result), texts[1].bytes, texts[1].len);
    sampan_log_free(log);
    return code;
}

static int32_t do_inspect(struct call *c, sampan_error **err) {
    TELL(c, sampan_container_info, sampan_container_inspect(c->container, &out, err));
}

static int32_t do_rename(struct call *c, sampan_error **err) {
    return sampan_container_rename(c->container, c->plain[0], err);
}

static int32_t do_remove(struct call *c, sampan_error **err) {
    return sampan_container_remove(c->container, c->options, err);
}

static int32_t do_exec(struct call *c, sampan_error **err) {
    TELL(c, sampan_exec_output, sampan_container_exec(c->container, c->options, c->cancel, &out, err));
}

/* To the end, which is an error with a terminal. */
static void read_stream(int file, const char *path) {
    struct text text = {"", 0};
    char bytes[4096];
    if (file < 0) {
        set_value(path, "none");
        return;
    }
    for (ssize_t got; (got = read(file, bytes, sizeof bytes)) > 0;) {
        sampan_log_entry entry = {.data = (const uint8_t *)bytes, .len = (size_t)got};
        append(&text, &entry);
    }
    close(file);
    set_bytes(path, text.bytes, text.len);
}

static bool write_input(struct call *c, int in) {
    uint8_t *bytes;
    size_t len;
    if (in < 0) return true;
    bool written = unescape(c->input ? c->input : "", &bytes, &len) && write(in, bytes, len) == (ssize_t)len;
    close(in);
    return written;
}

static void read_streams(struct call *c, int out, int errors) {
    const char *stdout_path = format("%s.stdout", c->result), *stderr_path = format("%s.stderr", c->result);
    read_stream(out, stdout_path);
    read_stream(errors, stderr_path);
}

static int32_t do_exec_start(struct call *c, sampan_error **err) {
    sampan_exec *exec;
    int32_t code = sampan_container_exec_start(c->container, c->options, c->cancel, &exec, err);
    if (code) return code;
    if (!write_input(c, sampan_exec_take_stdin(exec))) code = -1;
    read_streams(c, sampan_exec_take_stdout(exec), sampan_exec_take_stderr(exec));
    sampan_exit_status *status = NULL;
    if (!code) code = sampan_exec_wait(exec, c->cancel, &status, err);
    if (!code) tell(c->result, record_named("exit_status"), status);
    sampan_exit_status_free(status);
    sampan_exec_free(exec);
    return code;
}

static int32_t do_attach(struct call *c, sampan_error **err) {
    sampan_attachment *joined;
    int32_t code = sampan_container_attach(c->container, strcmp(c->plain[0], "true") == 0, c->cancel, &joined, err);
    if (code) return code;
    if (!write_input(c, sampan_attachment_take_stdin(joined))) code = -1;
    read_streams(c, sampan_attachment_take_stdout(joined), sampan_attachment_take_stderr(joined));
    sampan_exit_status *status = NULL;
    if (!code) code = sampan_attachment_wait(joined, c->cancel, &status, err);
    if (!code) tell(c->result, record_named("exit_status"), status);
    sampan_exit_status_free(status);
    sampan_attachment_free(joined);
    return code;
}

static int32_t do_copy_from(struct call *c, sampan_error **err) {
    return sampan_container_copy_from(c->container, c->plain[0], c->plain[1], c->options, c->cancel, err);
}

static int32_t do_copy_to(struct call *c, sampan_error **err) {
    return sampan_container_copy_to(c->container, c->plain[0], c->plain[1], c->options, c->cancel, err);
}

static int32_t do_path_stat(struct call *c, sampan_error **err) {
    TELL(c, sampan_path_stat, sampan_container_path_stat(c->container, c->plain[0], c->options, c->cancel, &out, err));
}

static int32_t do_get_archive(struct call *c, sampan_error **err) {
    int file = open(c->plain[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return -1;
    int32_t code = sampan_container_get_archive(c->container, c->plain[0], file, c->options, c->cancel, err);
    close(file);
    return code;
}

static int32_t do_put_archive(struct call *c, sampan_error **err) {
    int file = open(c->plain[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    int32_t code = sampan_container_put_archive(c->container, c->plain[0], file, c->cancel, err);
    close(file);
    return code;
}

static int32_t do_read_in(struct call *c, sampan_error **err) {
    int32_t file;
    int32_t code = sampan_container_open(c->container, c->plain[0], c->plain[1], c->cancel, &file, err);
    if (!code) read_stream(file, c->result);
    return code;
}

static int32_t do_write_in(struct call *c, sampan_error **err) {
    int32_t file;
    int32_t code = sampan_container_open(c->container, c->plain[0], c->plain[1], c->cancel, &file, err);
    return code || write_input(c, file) ? code : -1;
}

static int32_t do_pause(struct call *c, sampan_error **err) {
    return sampan_container_pause(c->container, c->cancel, err);
}

static int32_t do_unpause(struct call *c, sampan_error **err) { return sampan_container_unpause(c->container, err); }

static int32_t do_top(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_process_info, sampan_container_top(c->container, &out, err));
}

static int32_t do_stats(struct call *c, sampan_error **err) {
    TELL(c, sampan_container_stats, sampan_container_usage(c->container, &out, err));
}

static int32_t do_stats_stream(struct call *c, sampan_error **err) {
    sampan_stats_stream *stream;
    sampan_container_stats *reading = NULL;
    long long count = 0;
    int32_t code = sampan_container_stats_stream(c->container, strtod(c->plain[0], NULL), &stream, err);
    if (code) return code;
    while (count < c->count && !(code = sampan_stats_stream_next(stream, c->cancel, &reading, err)) && reading) {
        tell(format("%s.%lld", c->result, count++), record_named("container_stats"), reading);
        forget(format("%s.last", c->result));
        tell(format("%s.last", c->result), record_named("container_stats"), reading);
        sampan_container_stats_free(reading);
    }
    set_number(format("%s.len", c->result), count);
    sampan_stats_stream_free(stream);
    return code;
}

static int32_t do_update(struct call *c, sampan_error **err) {
    return sampan_container_update(c->container, c->options, err);
}

static int32_t do_resize(struct call *c, sampan_error **err) {
    uint32_t rows = (uint32_t)strtoul(c->plain[0], NULL, 10), columns = (uint32_t)strtoul(c->plain[1], NULL, 10);
    return sampan_container_resize(c->container, rows, columns, err);
}

static const struct signature {
    const char *name;
    size_t plain;
    const char *record;
    operation *run;
} signatures[] = {
    {"open", 0, "engine_options", do_open},
    {"mkdir", 1, NULL, do_mkdir},
    {"fifo", 1, NULL, do_fifo},
    {"write", 2, NULL, do_write},
    {"read", 1, NULL, do_read},
    {"info", 0, NULL, do_info},
    {"doctor", 0, NULL, do_doctor},
    {"pull", 1, "pull_options", do_pull},
    {"images", 0, NULL, do_images},
    {"inspect_image", 1, NULL, do_inspect_image},
    {"tag", 2, NULL, do_tag},
    {"remove_image", 1, "remove_image_options", do_remove_image},
    {"gc", 0, NULL, do_gc},
    {"create", 0, "run_options", do_create},
    {"spawn", 0, "run_options", do_spawn},
    {"run", 0, "run_options", do_run},
    {"plan", 0, "run_options", do_plan},
    {"containers", 0, "list_options", do_containers},
    {"events", 0, "event_options", do_events},
    {"container", 1, NULL, do_container},
    {"start", 0, NULL, do_start},
    {"stop", 0, "stop_options", do_stop},
    {"restart", 0, "stop_options", do_restart},
    {"kill", 1, NULL, do_kill},
    {"wait", 0, NULL, do_wait},
    {"wait_healthy", 0, NULL, do_wait_healthy},
    {"logs", 0, "log_options", do_logs},
    {"inspect", 0, NULL, do_inspect},
    {"rename", 1, NULL, do_rename},
    {"remove", 0, "remove_options", do_remove},
    {"resize", 2, NULL, do_resize},
    {"exec", 0, "exec_options", do_exec},
    {"exec_start", 0, "exec_options", do_exec_start},
    {"copy_from", 2, "copy_options", do_copy_from},
    {"copy_to", 2, "copy_options", do_copy_to},
    {"path_stat", 1, "copy_options", do_path_stat},
    {"get_archive", 2, "copy_options", do_get_archive},
    {"put_archive", 2, NULL, do_put_archive},
    {"read_in", 2, NULL, do_read_in},
    {"write_in", 2, NULL, do_write_in},
    {"attach", 1, NULL, do_attach},
    {"pause", 0, NULL, do_pause},
    {"unpause", 0, NULL, do_unpause},
    {"top", 0, NULL, do_top},
    {"stats", 0, NULL, do_stats},
    {"stats_stream", 1, NULL, do_stats_stream},
    {"update", 0, "update_options", do_update},
};

static const struct signature *signature_of(const char *name) {
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (strcmp(signatures[i].name, name) == 0) return &signatures[i];
    return NULL;
}

static bool aim(struct call *call, const char *name) {
    for (struct handle *handle = handles; handle; handle = handle->next) {
        if (strcmp(handle->name, name) != 0) continue;
        call->engine = handle->engine;
        call->container = handle->container;
        return true;
    }
    call->engine = strcmp(name, "e") == 0 ? shared : NULL;
    return call->engine || fail("there is no %s", name);
}

static bool open_stream(struct call *call, const char *name, const char *path) {
    int number = strcmp(name, "stdin") == 0 ? 0 : strcmp(name, "stdout") == 0 ? 1 : 2;
    int *file = &call->files[number];
    *file = number ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : open(path, O_RDONLY | O_CLOEXEC);
    if (*file < 0) return fail("%s: %s", path, strerror(errno));
    const int32_t **members[] = {&call->streams.stdin_fd, &call->streams.stdout_fd, &call->streams.stderr_fd};
    *members[number] = file;
    return true;
}

/* A word for the driver, without its colon. */
static bool take_own(struct call *call, char *name, char *text) {
    if (strcmp(name, "cancel") == 0) call->cancel_now = true;
    else if (strcmp(name, "cancel_by") == 0) call->cancel_by = text;
    else if (strcmp(name, "cancel_on") == 0) call->cancel_on = text;
    else if (strcmp(name, "stop_at") == 0) call->stop_at = text;
    else if (strcmp(name, "input") == 0) call->input = text;
    else if (strcmp(name, "count") == 0) call->count = strtoll(text, NULL, 10);
    else return open_stream(call, name, text);
    return true;
}

static bool take_word(struct call *call, const char *word) {
    char *name = format("%s", word), *text = strchr(name, '=');
    if (!text) return fail("%s has no =", word);
    *text++ = '\0';
    if (*name == ':') return take_own(call, name + 1, text);
    if (!call->record) {
        call->timeout = strtod(text, NULL);
        return true;
    }
    if (strcmp(name, "sh") != 0) return put(call->record, call->options, name, text);
    return put(call->record, call->options, "command", "sh") && put(call->record, call->options, "command", "-c") &&
           put(call->record, call->options, "command", text);
}

static bool take_words(struct call *call, const struct signature *signature, char **words, size_t count) {
    if (count < signature->plain) return fail("%s wants %zu words", signature->name, signature->plain);
    call->plain = words;
    call->record = signature->record ? record_named(signature->record) : NULL;
    call->options = call->record ? new_record(call->record) : NULL;
    for (size_t i = signature->plain; i < count; i++)
        if (!take_word(call, words[i])) return false;
    char *rung = getenv("SAMPAN_TEST_RUNG");
    if (call->record == record_named("engine_options") && rung) return put(call->record, call->options, "rung", rung);
    sampan_run_options *run = call->options;
    if (call->record == record_named("run_options") && !run->image) run->image = test_image;
    return true;
}

struct reader {
    const char *fifo;
    const sampan_cancel *cancel;
};

static void *read_and_cancel(void *of) {
    const struct reader *reader = of;
    char text[64];
    int file = open(reader->fifo, O_RDONLY | O_CLOEXEC);
    while (read(file, text, sizeof text) > 0) continue;
    close(file);
    sampan_cancel_cancel(reader->cancel, NULL);
    return NULL;
}

/* Makes the call while whoever is to cancel it waits for the moment. */
static int32_t watched(struct call *call, operation *run, sampan_error **err) {
    struct reader reader = {call->cancel_by, call->cancel};
    pthread_t thread;
    if (call->cancel_now) sampan_cancel_cancel(call->cancel, NULL);
    if (call->cancel_by && pthread_create(&thread, NULL, read_and_cancel, &reader)) abort();
    int32_t code = run(call, err);
    if (call->cancel_by) {
        /* Had the call failed early, the reader would wait for ever. */
        int file = open(call->cancel_by, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (file >= 0) close(file);
        pthread_join(thread, NULL);
    }
    return code;
}

static bool run_call(struct call *call, const struct signature *signature, sampan_error **err) {
    bool engines = signature < signature_of("start"), own = signature < signature_of("info");
    if (!own && !(engines ? (void *)call->engine : (void *)call->container)) return fail("it has no %s", signature->name);
    if (sampan_cancel_new(&call->cancel, err)) return fail("no cancel token");
    forget("events");
    set_number("events.len", 0);
    int32_t code = watched(call, signature->run, err);
    sampan_cancel_free(call->cancel);
    for (int i = 0; i < 3; i++)
        if (call->files[i] >= 0) close(call->files[i]);
    return !code || *err || fail("%s: %s", signature->name, strerror(errno));
}

bool make_call(char **words, size_t count, const char *name, sampan_error **err) {
    struct call call = {.result = name, .timeout = -1, .streams = SAMPAN_STDIO_INIT, .files = {-1, -1, -1}};
    char *target = format("%s", words[0]), *operation = strchr(target, '.');
    if (operation) *operation++ = '\0';
    const struct signature *signature = signature_of(operation ? operation : target);
    if (!signature) return fail("there is no operation %s", words[0]);
    forget(name);
    return aim(&call, operation ? target : "e") && take_words(&call, signature, words + 1, count - 1) &&
           run_call(&call, signature, err);
}

void tell_error(const sampan_error *error) {
    forget("error");
    set_text("error.kind", sampan_error_kind(error));
    set_number("error.code", sampan_error_code(error));
    if (sampan_error_errno(error)) set_number("error.errno", sampan_error_errno(error));
    else set_value("error.errno", "none");
    set_text("error.operation", sampan_error_operation(error));
    set_text("error.subject", sampan_error_subject(error));
    set_text("error.message", sampan_error_message(error));
    set_text("error.hint", sampan_error_hint(error));
    set_value("error.retryable", sampan_error_retryable(error) ? "true" : "false");
    set_number("error.exit_code", sampan_error_exit_code(error));
    const char *all = "";
    for (const char *const *left = sampan_error_leftovers(error); *left; left++) all = format("%s%s", all, *left);
    set_text("error.leftovers", all);
}

bool tell_info(void) {
    struct call call = {.engine = shared, .result = "info"};
    sampan_error *err = NULL;
    if (!do_info(&call, &err)) return true;
    fail("%s", sampan_error_message(err));
    sampan_error_free(err);
    return false;
}

bool open_shared(const char *root, const char *run) {
    sampan_engine_options *options = new_record(record_named("engine_options"));
    char *rung = getenv("SAMPAN_TEST_RUNG");
    sampan_error *err = NULL;
    sampan_image_info *image = NULL;
    options->root = root;
    options->run = run;
    if (rung && !put(record_named("engine_options"), options, "rung", rung)) return false;
    if (sampan_engine_open(options, &shared, &err) ||
        sampan_engine_pull(shared, test_image, NULL, NULL, NULL, &image, &err)) {
        fail("%s", sampan_error_message(err));
        sampan_error_free(err);
        return false;
    }
    sampan_image_info_free(image);
    return true;
}

void close_shared(void) { sampan_engine_free(shared); }

int clean_shared(void) {
    sampan_container_info_list *list;
    sampan_list_options all = SAMPAN_LIST_OPTIONS_INIT;
    sampan_remove_options force = SAMPAN_REMOVE_OPTIONS_INIT;
    all.all = force.force = force.volumes = true;
    if (sampan_engine_containers(shared, &all, &list, NULL)) return -1;
    int left = (int)list->len;
    for (size_t i = 0; i < list->len; i++) {
        sampan_container *container;
        if (sampan_engine_container(shared, list->items[i]->id, &container, NULL)) continue;
        if (sampan_container_remove(container, &force, NULL)) left = -1;
        sampan_container_free(container);
    }
    sampan_container_info_list_free(list);
    return left;
}
