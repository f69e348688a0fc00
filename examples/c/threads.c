/* Eight threads share one engine and start containers at once.
 *
 *     threads IMAGE [STORE]
 */
#include <pthread.h>
#include <sampan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, TURNS = 3 };

struct work {
    pthread_t thread;
    const sampan_engine *engine;
    const char *image;
    int number;
    int failures;
};

/* One container; true when it wrote what it was told to write. */
static int greet(const struct work *work, int turn) {
    char said[32], script[64];
    snprintf(said, sizeof said, "%d-%d\n", work->number, turn);
    snprintf(script, sizeof script, "echo %d-%d; exit %d", work->number, turn, work->number);
    sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = work->image;
    options.command = (const char *const[]){"sh", "-c", script, NULL};
    sampan_output *output = NULL;
    sampan_error *error = NULL;
    if (sampan_engine_run(work->engine, &options, NULL, NULL, &output, &error)) {
        fprintf(stderr, "threads: %s\n", sampan_error_message(error));
        sampan_error_free(error);
        return 0;
    }
    int right = output->exit->code == work->number && output->stdout_len == strlen(said) &&
                memcmp(output->stdout_data, said, strlen(said)) == 0;
    sampan_output_free(output);
    return right;
}

static void *greet_all(void *argument) {
    struct work *work = argument;
    for (int turn = 0; turn < TURNS; turn++) work->failures += !greet(work, turn);
    return NULL;
}

/* A `const sampan_engine *` may be used by any number of threads: no lock is needed here. */
static int run_all(const sampan_engine *engine, const char *image) {
    struct work all[THREADS];
    int failures = 0;
    for (int i = 0; i < THREADS; i++) {
        all[i] = (struct work){.engine = engine, .image = image, .number = i};
        if (pthread_create(&all[i].thread, NULL, greet_all, &all[i])) abort();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(all[i].thread, NULL);
        failures += all[i].failures;
    }
    printf("%d threads ran %d containers each, %d failed\n", THREADS, TURNS, failures);
    return failures;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: threads IMAGE [STORE]\n");
        return 2;
    }
    sampan_error *error = NULL;
    sampan_engine *engine = NULL;
    sampan_engine_options options = SAMPAN_ENGINE_OPTIONS_INIT;
    if (argc > 2) options.root = argv[2];
    if (sampan_engine_open(&options, &engine, &error)) {
        fprintf(stderr, "threads: %s\n", sampan_error_message(error));
        sampan_error_free(error);
        return 1;
    }
    int failures = run_all(engine, argv[1]);
    sampan_engine_free(engine);
    return failures != 0;
}
