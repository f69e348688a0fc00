/* The conformance driver of C; what it does is told in tests/conformance/README.md. */

#ifndef DRIVER_H
#define DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampan.h"

/* memory.c: what is grabbed lives until the case ends. */
void *grab(size_t size);
char *format(const char *form, ...);
void drop_all(void);

/* Notes why a line does not hold, and returns false. */
bool fail(const char *form, ...);
extern char why[4096];

/* record.c: records by their tables. */
enum kind {
    KIND_BOOL, KIND_I32, KIND_I64, KIND_U32, KIND_U64, KIND_F64, KIND_TEXT, KIND_BYTES, KIND_MAP, KIND_WORD,
    KIND_RECORD, KIND_TEXTS, KIND_RECORDS
};

struct record;

struct field {
    const char *name;
    enum kind kind;
    bool optional;
    size_t at;
    size_t len_at; /* of bytes: where their length is */
    const char *const *words;
    const struct record *record;
};

struct record {
    const char *name;
    size_t size;
    const struct field *fields; /* ends with one that has no name */
};

const struct record *record_named(const char *name);
void *new_record(const struct record *record);
/* Sets a member of options, by `field.key` or `field.0.member`. */
bool put(const struct record *record, void *into, const char *path, char *text);
/* Makes the members of what came back values below the path. */
void tell(const char *path, const struct record *record, const void *from);
void tell_list(const char *path, const struct record *record, const void *const *items);
void tell_event(const char *path, const sampan_event *event);

/* value.c: what a case can look at, path by path. */
void set_value(const char *path, const char *text);
void set_bytes(const char *path, const void *bytes, size_t len);
void set_text(const char *path, const char *text); /* NULL is absent */
void set_number(const char *path, long long number);
void forget(const char *path); /* with all below it */
void forget_all(void);
const char *value_of(const char *path);
char *escape(const void *bytes, size_t len);
bool unescape(const char *text, uint8_t **bytes, size_t *len);

/* call.c: handles and calls; what a call does is in the files that call.h names. */
extern const char *test_image;
bool open_shared(const char *root, const char *run);
void close_shared(void);
int clean_shared(void); /* removes containers, and tells how many there were; -1 when it could not */
void free_handles(void);
/* Makes a call; the result becomes NAME. False when it could not be made; *err when it failed. */
bool make_call(char **words, size_t count, const char *name, sampan_error **err);
void tell_error(const sampan_error *error);
bool tell_info(void); /* the engine's info as `info` */

#endif
