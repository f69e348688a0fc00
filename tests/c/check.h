/* What the programs of this directory share: a check that can't be compiled away. */
#ifndef CHECK_H
#define CHECK_H

#include <sampan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

/* A call that must succeed; prints the error's sentence when it does not. */
#define WORKS(call)                                                                         \
    do {                                                                                    \
        sampan_error *err = NULL;                                                           \
        if ((call) != SAMPAN_OK) {                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, sampan_error_message(err));  \
            exit(1);                                                                        \
        }                                                                                   \
        CHECK(err == NULL);                                                                 \
    } while (0)

/* A call that must fail with this code, and with an error object of the same code. */
#define FAILS(code, call)                                                                   \
    do {                                                                                    \
        sampan_error *err = NULL;                                                           \
        int32_t got = (call);                                                               \
        if (got != (code)) {                                                                \
            fprintf(stderr, "%s:%d: %d instead of %s: %s\n", __FILE__, __LINE__, got, #code, \
                    sampan_error_message(err));                                             \
            exit(1);                                                                        \
        }                                                                                   \
        CHECK(sampan_error_code(err) == (code) && sampan_error_message(err)[0]);            \
        sampan_error_free(err);                                                             \
    } while (0)

static inline sampan_engine *open_engine(const char *root) {
    sampan_engine_options options = SAMPAN_ENGINE_OPTIONS_INIT;
    options.root = root;
    sampan_engine *engine = NULL;
    WORKS(sampan_engine_open(&options, &engine, &err));
    return engine;
}

#endif
