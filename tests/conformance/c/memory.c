/* Memory of one case. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"

struct block {
    struct block *next;
    /* What follows is any type's. */
    long double data[];
};

static struct block *blocks;

char why[4096];

void *grab(size_t size) {
    struct block *block = calloc(1, sizeof *block + size);
    if (!block) abort();
    block->next = blocks;
    blocks = block;
    return block->data;
}

static char *formatted(const char *form, va_list args) {
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, form, again);
    va_end(again);
    char *text = grab((size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, form, args);
    return text;
}

char *format(const char *form, ...) {
    va_list args;
    va_start(args, form);
    char *text = formatted(form, args);
    va_end(args);
    return text;
}

bool fail(const char *form, ...) {
    va_list args;
    va_start(args, form);
    vsnprintf(why, sizeof why, form, args);
    va_end(args);
    return false;
}

void drop_all(void) {
    while (blocks) {
        struct block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}
