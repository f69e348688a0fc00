/* The boundary, from the other side: NULL everywhere, structs of other ages, who owns what, and when `*out` is
 * written. Starts no container, so that valgrind, which can't follow the start of one, can watch all of it.
 *
 *     boundary IMAGE STORE
 */
#include "check.h"

#define REFUSED(call) FAILS(SAMPAN_ERROR_INVALID_ARGUMENT, call)

/* A pointer that must still be there afterwards: nothing may be written when a call fails. */
#define UNTOUCHED ((void *)0x5a5a)

static void null_is_refused(void) {
    sampan_engine *engine = UNTOUCHED;
    sampan_container *container = UNTOUCHED;
    sampan_container_info *info = UNTOUCHED;
    sampan_container_info_list *containers = UNTOUCHED;
    sampan_doctor_report *report = UNTOUCHED;
    sampan_engine_info *engine_info = UNTOUCHED;
    sampan_exit_status *status = UNTOUCHED;
    sampan_image_info *image = UNTOUCHED;
    sampan_image_info_list *images = UNTOUCHED;
    sampan_log *log = UNTOUCHED;
    sampan_log_entry *entry = UNTOUCHED;
    sampan_output *output = UNTOUCHED;
    sampan_prune_report *pruned = UNTOUCHED;
    sampan_removed_image_list *removed = UNTOUCHED;
    char *plan = UNTOUCHED;
    REFUSED(sampan_engine_open(NULL, NULL, &err));
    REFUSED(sampan_engine_inspect(NULL, &engine_info, &err));
    REFUSED(sampan_engine_doctor(NULL, &report, &err));
    REFUSED(sampan_engine_pull(NULL, NULL, NULL, NULL, NULL, &image, &err));
    REFUSED(sampan_engine_images(NULL, &images, &err));
    REFUSED(sampan_engine_inspect_image(NULL, NULL, &image, &err));
    REFUSED(sampan_engine_tag(NULL, NULL, NULL, &err));
    REFUSED(sampan_engine_remove_image(NULL, NULL, NULL, &removed, &err));
    REFUSED(sampan_engine_gc(NULL, &pruned, &err));
    REFUSED(sampan_engine_create(NULL, NULL, NULL, NULL, &container, &err));
    REFUSED(sampan_engine_spawn(NULL, NULL, NULL, NULL, NULL, &container, &err));
    REFUSED(sampan_engine_run(NULL, NULL, NULL, NULL, &output, &err));
    REFUSED(sampan_engine_plan(NULL, NULL, &plan, &err));
    REFUSED(sampan_engine_containers(NULL, NULL, &containers, &err));
    REFUSED(sampan_engine_container(NULL, NULL, &container, &err));
    sampan_event_stream *events = UNTOUCHED;
    sampan_engine_event *event = UNTOUCHED;
    REFUSED(sampan_engine_events(NULL, NULL, &events, &err));
    REFUSED(sampan_event_stream_next(NULL, NULL, &event, &err));
    sampan_event_stream_free(NULL);
    sampan_engine_event_free(NULL);
    CHECK(events == UNTOUCHED && event == UNTOUCHED);
    REFUSED(sampan_container_start(NULL, NULL, NULL, &err));
    REFUSED(sampan_container_stop(NULL, NULL, NULL, &err));
    REFUSED(sampan_container_restart(NULL, NULL, NULL, &err));
    REFUSED(sampan_container_kill(NULL, NULL, &err));
    REFUSED(sampan_container_wait(NULL, -1, NULL, &status, &err));
    REFUSED(sampan_container_logs(NULL, NULL, &log, &err));
    REFUSED(sampan_container_inspect(NULL, &info, &err));
    REFUSED(sampan_container_rename(NULL, NULL, &err));
    REFUSED(sampan_container_remove(NULL, NULL, &err));
    sampan_exec_output *said = UNTOUCHED;
    sampan_process_info_list *processes = UNTOUCHED;
    sampan_container_stats *stats = UNTOUCHED;
    REFUSED(sampan_container_exec(NULL, NULL, NULL, &said, &err));
    REFUSED(sampan_container_top(NULL, &processes, &err));
    REFUSED(sampan_container_usage(NULL, &stats, &err));
    REFUSED(sampan_container_update(NULL, NULL, &err));
    REFUSED(sampan_container_pause(NULL, NULL, &err));
    REFUSED(sampan_container_unpause(NULL, &err));
    sampan_exec *command = UNTOUCHED;
    sampan_stats_stream *readings = UNTOUCHED;
    REFUSED(sampan_container_exec_start(NULL, NULL, NULL, &command, &err));
    REFUSED(sampan_container_stats_stream(NULL, 1, &readings, &err));
    REFUSED(sampan_stats_stream_next(NULL, NULL, &stats, &err));
    REFUSED(sampan_exec_wait(NULL, NULL, &status, &err));
    REFUSED(sampan_exec_kill(NULL, "TERM", &err));
    REFUSED(sampan_exec_resize(NULL, 1, 1, &err));
    REFUSED(sampan_exec_discard_stdout(NULL, &err));
    REFUSED(sampan_exec_discard_stderr(NULL, &err));
    CHECK(sampan_exec_pid(NULL) == 0 && sampan_exec_take_stdin(NULL) == -1);
    CHECK(sampan_exec_take_stdout(NULL) == -1 && sampan_exec_take_stderr(NULL) == -1);
    sampan_exec_free(NULL);
    sampan_attachment *joined = UNTOUCHED;
    REFUSED(sampan_container_attach(NULL, true, NULL, &joined, &err));
    CHECK(joined == UNTOUCHED);
    REFUSED(sampan_attachment_wait(NULL, NULL, &status, &err));
    REFUSED(sampan_attachment_resize(NULL, 1, 1, &err));
    CHECK(sampan_attachment_take_stdin(NULL) == -1 && sampan_attachment_take_stdout(NULL) == -1);
    CHECK(sampan_attachment_take_stderr(NULL) == -1);
    sampan_attachment_free(NULL);
    sampan_path_stat *at = UNTOUCHED;
    int32_t file = -7;
    REFUSED(sampan_container_copy_from(NULL, "/a", "b", NULL, NULL, &err));
    REFUSED(sampan_container_copy_to(NULL, "a", "/b", NULL, NULL, &err));
    REFUSED(sampan_container_path_stat(NULL, "/a", NULL, NULL, &at, &err));
    REFUSED(sampan_container_get_archive(NULL, "/a", 1, NULL, NULL, &err));
    REFUSED(sampan_container_put_archive(NULL, "/a", 0, NULL, &err));
    REFUSED(sampan_container_open(NULL, "/a", "r", NULL, &file, &err));
    CHECK(at == UNTOUCHED && file == -7);
    sampan_path_stat_free(NULL);
    sampan_stats_stream_free(NULL);
    CHECK(said == UNTOUCHED && processes == UNTOUCHED && stats == UNTOUCHED);
    CHECK(command == UNTOUCHED && readings == UNTOUCHED);
    REFUSED(sampan_container_resize(NULL, 1, 1, &err));
    REFUSED(sampan_log_next(NULL, NULL, &entry, &err));
    sampan_log_entry_list *entries = UNTOUCHED;
    REFUSED(sampan_log_next_batch(NULL, 1, NULL, &entries, &err));
    CHECK(entries == UNTOUCHED);
    REFUSED(sampan_cancel_new(NULL, &err));
    REFUSED(sampan_cancel_cancel(NULL, &err));
    const void *untouched[] = {engine,  container, info,  containers, report, engine_info, status, image,
                               images,  log,       entry, output,     pruned, removed,     plan};
    for (size_t i = 0; i < sizeof untouched / sizeof *untouched; i++) CHECK(untouched[i] == UNTOUCHED);
    /* No place for the error object is fine: the code tells. */
    CHECK(sampan_engine_gc(NULL, &pruned, NULL) == SAMPAN_ERROR_INVALID_ARGUMENT);
}

static void null_is_nothing_to_free(void) {
    sampan_engine_free(NULL);
    sampan_container_free(NULL);
    sampan_log_free(NULL);
    sampan_cancel_free(NULL);
    sampan_error_free(NULL);
    sampan_string_free(NULL);
    sampan_container_info_free(NULL);
    sampan_container_info_list_free(NULL);
    sampan_doctor_report_free(NULL);
    sampan_engine_info_free(NULL);
    sampan_exec_output_free(NULL);
    sampan_process_info_list_free(NULL);
    sampan_container_stats_free(NULL);
    sampan_exit_status_free(NULL);
    sampan_image_info_free(NULL);
    sampan_image_info_list_free(NULL);
    sampan_log_entry_free(NULL);
    sampan_log_entry_list_free(NULL);
    sampan_output_free(NULL);
    sampan_prune_report_free(NULL);
    sampan_removed_image_list_free(NULL);
}

static void null_has_no_members(void) {
    CHECK(sampan_error_code(NULL) == SAMPAN_OK && sampan_error_errno(NULL) == 0 && sampan_error_exit_code(NULL) == 0);
    CHECK(!sampan_error_kind(NULL) && !sampan_error_operation(NULL) && !sampan_error_subject(NULL));
    CHECK(!sampan_error_message(NULL) && !sampan_error_hint(NULL) && !sampan_error_leftovers(NULL));
    CHECK(!sampan_error_retryable(NULL) && !sampan_cancel_is_cancelled(NULL) && !sampan_container_id(NULL));
    CHECK(sampan_abi_version() >> 16 == SAMPAN_ABI_MAJOR && sampan_version()[0]);
}

struct seen {
    int events, finalized, cancel_at;
};

static int32_t count(const sampan_event *event, void *userdata) {
    struct seen *seen = userdata;
    CHECK(event->struct_size == sizeof *event);
    return ++seen->events == seen->cancel_at;
}

static void finish(void *userdata) { ((struct seen *)userdata)->finalized++; }

static sampan_progress watch(struct seen *seen) {
    sampan_progress progress = SAMPAN_PROGRESS_INIT;
    progress.event = count;
    progress.finalize = finish;
    progress.userdata = seen;
    return progress;
}

static void a_pull_is_watched_and_cancelled(const sampan_engine *engine, const char *reference) {
    sampan_image_info *image = NULL;
    struct seen stopped = {.cancel_at = 1}, whole = {0}, unused = {0};
    sampan_progress progress = watch(&stopped);
    FAILS(SAMPAN_ERROR_CANCELLED, sampan_engine_pull(engine, reference, NULL, &progress, NULL, &image, &err));
    CHECK(stopped.events == 1 && stopped.finalized == 1 && !image);

    progress = watch(&unused);
    REFUSED(sampan_engine_pull(engine, reference, NULL, &progress, NULL, NULL, &err));
    REFUSED(sampan_engine_pull(NULL, reference, NULL, &progress, NULL, &image, &err));
    CHECK(unused.events == 0 && unused.finalized == 2);

    progress = watch(&whole);
    WORKS(sampan_engine_pull(engine, reference, NULL, &progress, NULL, &image, &err));
    CHECK(whole.events > 1 && whole.finalized == 1);
    CHECK(image->struct_size == sizeof *image && image->tags[0] && !image->tags[1] && image->layers[0]);
    sampan_image_info_free(image);
}

static void a_token_cancels_before_and_after(const sampan_engine *engine, const char *reference) {
    sampan_cancel *cancel = NULL;
    sampan_image_info *image = NULL;
    WORKS(sampan_cancel_new(&cancel, &err));
    CHECK(!sampan_cancel_is_cancelled(cancel));
    WORKS(sampan_cancel_cancel(cancel, &err));
    WORKS(sampan_cancel_cancel(cancel, &err));
    CHECK(sampan_cancel_is_cancelled(cancel));
    FAILS(SAMPAN_ERROR_CANCELLED, sampan_engine_pull(engine, reference, NULL, NULL, cancel, &image, &err));
    CHECK(!image);
    sampan_cancel_free(cancel);
}

static void structs_of_other_ages(const sampan_engine *engine, const char *image) {
    struct {
        sampan_list_options known;
        uint64_t later;
    } newer = {SAMPAN_LIST_OPTIONS_INIT, 0};
    sampan_container_info_list *list = NULL;
    newer.known.size = sizeof newer;
    WORKS(sampan_engine_containers(engine, &newer.known, &list, &err));
    sampan_container_info_list_free(list);
    newer.later = 1;
    list = NULL;
    FAILS(SAMPAN_ERROR_UNSUPPORTED, sampan_engine_containers(engine, &newer.known, &list, &err));
    CHECK(!list);

    /* A program of long ago knew two members; what lies behind them is not read, as valgrind would tell. */
    struct {
        size_t size;
        const char *image;
    } *older = malloc(sizeof *older);
    CHECK(older);
    older->size = sizeof *older;
    older->image = image;
    char *plan = NULL;
    WORKS(sampan_engine_plan(engine, (const sampan_run_options *)(void *)older, &plan, &err));
    CHECK(plan[0] == '{');
    sampan_string_free(plan);
    free(older);

    sampan_run_options unset = SAMPAN_RUN_OPTIONS_INIT;
    unset.image = image;
    const size_t sizes[] = {0, 1, (size_t)-1, (size_t)1 << 40};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unset.size = sizes[i];
        REFUSED(sampan_engine_plan(engine, &unset, &plan, &err));
    }
}

static void malformed_texts(const sampan_engine *engine, const char *image) {
    sampan_container *container = NULL;
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = image;
    options.name = "\xff\xfe";
    REFUSED(sampan_engine_create(engine, &options, NULL, NULL, &container, &err));
    options.name = NULL;
    const sampan_pair twice[] = {{"A", "1"}, {"A", "2"}, {NULL, NULL}};
    options.env = twice;
    REFUSED(sampan_engine_create(engine, &options, NULL, NULL, &container, &err));
    CHECK(!container);
}

/* Everything that is read here came from the call's copy of what has been freed or changed since. */
static void what_is_passed_stays_the_caller_s(const sampan_engine *engine, const char *image) {
    char *name = strdup("kept-by-nobody"), *word = strdup("echo"), *value = strdup("1=2");
    const char **command = malloc(2 * sizeof *command);
    sampan_pair *env = malloc(2 * sizeof *env);
    sampan_mount *mount = malloc(sizeof *mount);
    CHECK(name && word && value && command && env && mount);
    command[0] = word, command[1] = NULL;
    env[0] = (sampan_pair){"KEY", value}, env[1] = (sampan_pair){NULL, NULL};
    *mount = (sampan_mount)SAMPAN_MOUNT_INIT;
    mount->kind = SAMPAN_MOUNT_KIND_TMPFS;
    mount->target = "/mnt";
    const sampan_mount *mounts[] = {mount, NULL};
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = image, options.name = name, options.command = command, options.env = env, options.mounts = mounts;
    sampan_container *container = NULL;
    WORKS(sampan_engine_create(engine, &options, NULL, NULL, &container, &err));
    free(name), free(word), free(value), free(command), free(env), free(mount);

    sampan_container_info *info = NULL;
    WORKS(sampan_container_inspect(container, &info, &err));
    CHECK(!strcmp(info->name, "kept-by-nobody") && !strcmp(info->command[0], "echo") && !info->command[1]);
    CHECK(info->status == SAMPAN_STATUS_CREATED && !info->pid && !info->exit);
    CHECK(info->mounts[0] && !strcmp(info->mounts[0]->target, "/mnt") && !info->mounts[1]);
    const char *const *variable = info->env;
    while (*variable && strcmp(*variable, "KEY=1=2")) variable++;
    CHECK(*variable);
    CHECK(!strcmp(info->options->image, image));
    sampan_container_info_free(info);
    sampan_container_free(container);
}

static void a_container_by_name(const sampan_engine *engine) {
    sampan_container *container = NULL, *other = NULL;
    WORKS(sampan_engine_container(engine, "kept-by-nobody", &container, &err));
    WORKS(sampan_container_rename(container, "renamed", &err));
    FAILS(SAMPAN_ERROR_NOT_FOUND, sampan_engine_container(engine, "kept-by-nobody", &other, &err));
    WORKS(sampan_engine_container(engine, "renamed", &other, &err));
    CHECK(!strcmp(sampan_container_id(container), sampan_container_id(other)));
    sampan_container_free(other);

    FAILS(SAMPAN_ERROR_CONFLICT, sampan_container_kill(container, "TERM", &err));
    FAILS(SAMPAN_ERROR_CONFLICT, sampan_container_resize(container, 24, 80, &err));
    sampan_exit_status *status = NULL;
    FAILS(SAMPAN_ERROR_CONFLICT, sampan_container_wait(container, 0, NULL, &status, &err));
    CHECK(!status);
    WORKS(sampan_container_remove(container, NULL, &err));
    FAILS(SAMPAN_ERROR_NOT_FOUND, sampan_container_remove(container, NULL, &err));
    sampan_container_free(container);
}

static void images_come_and_go(const sampan_engine *engine, const char *reference) {
    sampan_image_info *image = NULL;
    WORKS(sampan_engine_tag(engine, reference, "localhost/boundary:1", &err));
    WORKS(sampan_engine_inspect_image(engine, "localhost/boundary:1", &image, &err));
    CHECK(image->tags[0] && image->tags[1] && !image->tags[2] && image->size > 0);
    sampan_image_info_free(image);

    sampan_image_info_list *images = NULL;
    WORKS(sampan_engine_images(engine, &images, &err));
    CHECK(images->len == 1 && images->items[0] && !images->items[1]);
    sampan_image_info_list_free(images);

    sampan_removed_image_list *removed = NULL;
    WORKS(sampan_engine_remove_image(engine, "localhost/boundary:1", NULL, &removed, &err));
    CHECK(removed->len == 1 && removed->items[0]->untagged && !removed->items[0]->deleted);
    sampan_removed_image_list_free(removed);
    WORKS(sampan_engine_remove_image(engine, reference, NULL, &removed, &err));
    sampan_removed_image_list_free(removed);

    sampan_prune_report *pruned = NULL;
    WORKS(sampan_engine_gc(engine, &pruned, &err));
    CHECK(pruned->removed);
    sampan_prune_report_free(pruned);
}

static void an_engine_tells_where_it_stands(const sampan_engine *engine, const char *root) {
    sampan_engine_info *info = NULL;
    WORKS(sampan_engine_inspect(engine, &info, &err));
    CHECK(!strcmp(info->root, root) && !strcmp(info->version, sampan_version()) && info->images == 1);
    sampan_engine_info_free(info);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    null_is_refused();
    null_is_nothing_to_free();
    null_has_no_members();
    sampan_engine *engine = open_engine(argv[2]);
    a_pull_is_watched_and_cancelled(engine, argv[1]);
    a_token_cancels_before_and_after(engine, argv[1]);
    an_engine_tells_where_it_stands(engine, argv[2]);
    structs_of_other_ages(engine, argv[1]);
    malformed_texts(engine, argv[1]);
    what_is_passed_stays_the_caller_s(engine, argv[1]);
    a_container_by_name(engine);
    images_come_and_go(engine, argv[1]);
    sampan_engine_free(engine);
    puts("boundary: all held");
    return 0;
}
