/* Pulls an image, runs a command in a container, and shows what it wrote and how it ended.
 *
 *     quickstart IMAGE [STORE]
 */
#include <inttypes.h>
#include <sampan.h>
#include <stdio.h>
#include <stdlib.h>

/* An error is one sentence, with what can be done about it. */
static void die(sampan_error *error) {
    fprintf(stderr, "quickstart: %s\n", sampan_error_message(error));
    int code = sampan_error_exit_code(error);
    sampan_error_free(error);
    exit(code);
}

static int32_t tell(const sampan_event *event, void *userdata) {
    (void)userdata;
    if (event->kind == SAMPAN_EVENT_LAYER_DONE) printf("layer %.19s is unpacked\n", event->digest);
    return 0; /* anything else would cancel the pull */
}

static void pull(const sampan_engine *engine, const char *reference) {
    sampan_error *error = NULL;
    sampan_image_info *image = NULL;
    sampan_progress progress = SAMPAN_PROGRESS_INIT;
    progress.event = tell;
    if (sampan_engine_pull(engine, reference, NULL, &progress, NULL, &image, &error)) die(error);
    printf("pulled %s: %.19s, %" PRIu64 " bytes\n", reference, image->id, image->size);
    sampan_image_info_free(image);
}

static void run_to_the_end(const sampan_engine *engine, const char *image) {
    sampan_error *error = NULL;
    sampan_output *output = NULL;
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = image;
    options.command = (const char *const[]){"sh", "-c", "echo \"hello from $(hostname)\"; exit 3", NULL};
    options.hostname = "sampan";
    if (sampan_engine_run(engine, &options, NULL, NULL, &output, &error)) die(error);
    printf("it wrote: %.*s", (int)output->stdout_len, (const char *)output->stdout_data);
    printf("it ended with %d\n", output->exit->code);
    sampan_output_free(output);
}

/* One that runs on while the program does something else; its limits and its environment are members too. */
static sampan_container *spawn(const sampan_engine *engine, const char *image) {
    sampan_error *error = NULL;
    sampan_container *container = NULL;
    const int64_t memory = 64 << 20;
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = image;
    options.command = (const char *const[]){"sh", "-c", "echo $GREETING; exec sleep 100", NULL};
    options.env = (const sampan_pair[]){{"GREETING", "still here"}, {NULL, NULL}};
    options.memory = &memory;
    options.best_effort = true; /* run even where a plain user may not set the limit */
    options.tie = SAMPAN_TIE_HOST; /* should this program die, the container goes too */
    if (sampan_engine_spawn(engine, &options, NULL, NULL, NULL, &container, &error)) die(error);
    printf("container %.12s runs\n", sampan_container_id(container));
    return container;
}

static void stop_and_remove(sampan_container *container) {
    sampan_error *error = NULL;
    sampan_exit_status *status = NULL;
    if (sampan_container_kill(container, "KILL", &error)) die(error);
    if (sampan_container_wait(container, 30, NULL, &status, &error)) die(error);
    printf("it was ended by signal %d\n", status->signal ? *status->signal : 0);
    sampan_exit_status_free(status);
    if (sampan_container_remove(container, NULL, &error)) die(error);
    sampan_container_free(container);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: quickstart IMAGE [STORE]\n");
        return 2;
    }
    sampan_error *error = NULL;
    sampan_engine *engine = NULL;
    sampan_engine_options options = SAMPAN_ENGINE_OPTIONS_INIT;
    if (argc > 2) options.root = argv[2];
    if (sampan_engine_open(&options, &engine, &error)) die(error);
    pull(engine, argv[1]);
    run_to_the_end(engine, argv[1]);
    stop_and_remove(spawn(engine, argv[1]));
    sampan_engine_free(engine);
    return 0;
}
