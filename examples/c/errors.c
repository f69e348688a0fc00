/* What an error tells: its kind, what failed on what, and what can be done about it.
 *
 *     errors IMAGE [STORE]
 */
#include <sampan.h>
#include <stdio.h>
#include <stdlib.h>

static int unexpected;

/* Prints one error and frees it; `wanted` is the kind that this program counts on. */
static void show(int32_t code, int32_t wanted, sampan_error *error) {
    printf("\n%s (%d), operation \"%s\", subject \"%s\"\n", sampan_error_kind(error), code,
           sampan_error_operation(error), sampan_error_subject(error));
    printf("  %s\n", sampan_error_message(error));
    if (sampan_error_hint(error)) printf("  cure: %s\n", sampan_error_hint(error));
    if (sampan_error_retryable(error)) printf("  the same call may work later\n");
    printf("  as an exit code: %d\n", sampan_error_exit_code(error));
    if (code != wanted || sampan_error_code(error) != code) unexpected++;
    sampan_error_free(error);
}

static void run(const sampan_engine *engine, const sampan_run_options *options, int32_t wanted) {
    sampan_error *error = NULL;
    sampan_output *output = NULL;
    int32_t code = sampan_engine_run(engine, options, NULL, NULL, &output, &error);
    if (code == SAMPAN_OK) sampan_output_free(output);
    show(code, wanted, error);
}

static void runs_that_fail(const sampan_engine *engine, const char *image) {
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = image;
    options.command = (const char *const[]){"no-such-command", NULL};
    run(engine, &options, SAMPAN_ERROR_COMMAND_NOT_FOUND);
    options.command = (const char *const[]){"/etc/passwd", NULL};
    run(engine, &options, SAMPAN_ERROR_COMMAND_NOT_EXECUTABLE);
    options.command = (const char *const[]){"true", NULL};
    options.user = "nobody-of-that-name";
    run(engine, &options, SAMPAN_ERROR_UNKNOWN_USER);
    options.user = NULL;
    options.workdir = "relative/path";
    run(engine, &options, SAMPAN_ERROR_INVALID_ARGUMENT);
    options.workdir = NULL;
    options.tie = 42; /* not a number of this option */
    run(engine, &options, SAMPAN_ERROR_INVALID_ARGUMENT);
    options.tie = SAMPAN_TIE_DETACHED;
    options.size = 0; /* what a struct has that was not begun with its _INIT */
    run(engine, &options, SAMPAN_ERROR_INVALID_ARGUMENT);
    sampan_run_options none = SAMPAN_RUN_OPTIONS_INIT;
    none.image = "127.0.0.1:1/nothing/listens/here";
    run(engine, &none, SAMPAN_ERROR_NETWORK);
    none.image = "Not A Reference";
    run(engine, &none, SAMPAN_ERROR_INVALID_ARGUMENT);
    run(engine, NULL, SAMPAN_ERROR_INVALID_ARGUMENT);
    run(NULL, &none, SAMPAN_ERROR_INVALID_ARGUMENT);
}

static void lookups_that_fail(const sampan_engine *engine) {
    sampan_error *error = NULL;
    sampan_image_info *image = NULL;
    int32_t code = sampan_engine_inspect_image(engine, "no/such/image", &image, &error);
    show(code, SAMPAN_ERROR_NOT_FOUND, error);
    sampan_container *container = NULL;
    code = sampan_engine_container(engine, "nobody", &container, &error);
    show(code, SAMPAN_ERROR_NOT_FOUND, error);
    /* An answer is written on success only. */
    if (image || container) unexpected++;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: errors IMAGE [STORE]\n");
        return 2;
    }
    sampan_error *error = NULL;
    sampan_engine *engine = NULL;
    sampan_engine_options options = SAMPAN_ENGINE_OPTIONS_INIT;
    if (argc > 2) options.root = argv[2];
    if (sampan_engine_open(&options, &engine, &error)) {
        fprintf(stderr, "errors: %s\n", sampan_error_message(error));
        sampan_error_free(error);
        return 1;
    }
    runs_that_fail(engine, argv[1]);
    lookups_that_fail(engine);
    sampan_engine_free(engine);
    printf("\n%d errors were of another kind than expected\n", unexpected);
    return unexpected != 0;
}
