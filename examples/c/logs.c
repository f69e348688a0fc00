/* Follows the log of a container while it runs, then cancels from another thread the following of one that would
 * never end.
 *
 *     logs IMAGE [STORE]
 */
#include <pthread.h>
#include <sampan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(sampan_error *error) {
    fprintf(stderr, "logs: %s\n", sampan_error_message(error));
    sampan_error_free(error);
    exit(1);
}

static sampan_container *start(const sampan_engine *engine, const char *image, const char *script) {
    sampan_error *error = NULL;
    sampan_container *container = NULL;
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = image;
    options.command = (const char *const[]){"sh", "-c", script, NULL};
    options.tie = SAMPAN_TIE_HOST;
    if (sampan_engine_spawn(engine, &options, NULL, NULL, NULL, &container, &error)) die(error);
    return container;
}

static void removed(sampan_container *container) {
    sampan_error *error = NULL;
    sampan_remove_options options = SAMPAN_REMOVE_OPTIONS_INIT;
    options.force = true;
    if (sampan_container_remove(container, &options, &error)) die(error);
    sampan_container_free(container);
}

static sampan_log *followed(const sampan_container *container) {
    sampan_error *error = NULL;
    sampan_log *log = NULL;
    sampan_log_options options = SAMPAN_LOG_OPTIONS_INIT;
    options.follow = true;
    if (sampan_container_logs(container, &options, &log, &error)) die(error);
    return log;
}

/* Prints what is written until the container ends. The log is pulled: no thread of the library stands behind it. */
static void print_all(sampan_log *log) {
    sampan_error *error = NULL;
    sampan_log_entry *entry = NULL;
    for (;;) {
        if (sampan_log_next(log, NULL, &entry, &error)) die(error);
        if (!entry) break;
        const char *stream = entry->stream == SAMPAN_STREAM_STDERR ? "stderr" : "stdout";
        printf("%.19s %s: %.*s", entry->time, stream, (int)entry->len, (const char *)entry->data);
        sampan_log_entry_free(entry);
    }
    printf("the container has ended\n");
}

struct patience {
    sampan_log *log;
    const sampan_cancel *cancel;
    pthread_mutex_t lock;
    pthread_cond_t heard;
    int entries;
};

/* Reads until it is cancelled, and tells of each entry. */
static void *listen(void *argument) {
    struct patience *patience = argument;
    sampan_log_entry *entry = NULL;
    sampan_error *error = NULL;
    while (sampan_log_next(patience->log, patience->cancel, &entry, &error) == SAMPAN_OK && entry) {
        sampan_log_entry_free(entry);
        pthread_mutex_lock(&patience->lock);
        patience->entries++;
        pthread_cond_signal(&patience->heard);
        pthread_mutex_unlock(&patience->lock);
    }
    return error;
}

static void cancel_from_here(sampan_log *log) {
    sampan_error *error = NULL;
    sampan_cancel *cancel = NULL;
    if (sampan_cancel_new(&cancel, &error)) die(error);
    struct patience patience = {.log = log, .cancel = cancel};
    pthread_mutex_init(&patience.lock, NULL);
    pthread_cond_init(&patience.heard, NULL);
    pthread_t listener;
    if (pthread_create(&listener, NULL, listen, &patience)) abort();
    pthread_mutex_lock(&patience.lock);
    while (patience.entries == 0) pthread_cond_wait(&patience.heard, &patience.lock);
    pthread_mutex_unlock(&patience.lock);
    if (sampan_cancel_cancel(cancel, &error)) die(error);
    void *end = NULL;
    pthread_join(listener, &end);
    if (sampan_error_code(end) != SAMPAN_ERROR_CANCELLED) abort();
    printf("the other thread's call ended: %s\n", sampan_error_message(end));
    sampan_error_free(end);
    sampan_cancel_free(cancel);
    pthread_cond_destroy(&patience.heard);
    pthread_mutex_destroy(&patience.lock);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: logs IMAGE [STORE]\n");
        return 2;
    }
    sampan_error *error = NULL;
    sampan_engine *engine = NULL;
    sampan_engine_options options = SAMPAN_ENGINE_OPTIONS_INIT;
    if (argc > 2) options.root = argv[2];
    if (sampan_engine_open(&options, &engine, &error)) die(error);

    sampan_container *talks = start(engine, argv[1], "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three");
    sampan_log *log = followed(talks);
    print_all(log);
    sampan_log_free(log);
    removed(talks);

    sampan_container *stays = start(engine, argv[1], "echo waiting; exec sleep 100");
    log = followed(stays);
    cancel_from_here(log);
    sampan_log_free(log);
    removed(stays);
    sampan_engine_free(engine);
    return 0;
}
