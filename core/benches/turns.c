/* Turns of `run true` through the C face, the library loaded by dlopen.
 *
 * turns LIBRARY ROOT IMAGE MEMORY CPUS PIDS
 *
 * A turn for each line of standard input, answered by a line with its time in milliseconds.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sampan.h"

#define LOAD(name) __typeof__(name) *name##_ = (__typeof__(name) *)dlsym(library, #name)

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    LOAD(sampan_engine_open);
    LOAD(sampan_engine_run);
    LOAD(sampan_engine_free);
    LOAD(sampan_output_free);
    LOAD(sampan_error_message);

    struct sampan_engine_options where = SAMPAN_ENGINE_OPTIONS_INIT;
    where.root = argv[2];
    struct sampan_engine *engine;
    struct sampan_error *error = NULL;
    if (sampan_engine_open_(&where, &engine, &error)) return fprintf(stderr, "%s\n", sampan_error_message_(error)), 1;

    const char *const command[] = {"true", NULL};
    struct sampan_run_options options = SAMPAN_RUN_OPTIONS_INIT;
    options.image = argv[3];
    options.command = command;
    options.network = "none";
    const int64_t memory = atoll(argv[4]), pids = atoll(argv[6]);
    const double cpus = atof(argv[5]);
    options.memory = &memory, options.cpus = &cpus, options.pids_limit = &pids;
    struct timespec a, b;
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        struct sampan_output *output;
        clock_gettime(CLOCK_MONOTONIC, &a);
        if (sampan_engine_run_(engine, &options, NULL, NULL, &output, &error))
            return fprintf(stderr, "%s\n", sampan_error_message_(error)), 1;
        sampan_output_free_(output);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%.3f\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
        fflush(stdout);
    }
    sampan_engine_free_(engine);
    return 0;
}
