/* One call: its words taken apart, the call made, its result told. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"

struct handle {
    char *name;
    sampan_engine *engine;
    sampan_container *container;
    struct handle *next;
};

const char *test_image;
static sampan_engine *shared;
static struct handle *handles;

void keep(const char *name, sampan_engine *engine, sampan_container *container) {
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
