/* Records by their tables: from the words of a case to options, and from results to values. */

#include <stdlib.h>
#include <string.h>

#include "driver.h"

struct event {
    const char *word;
    const struct record *record;
};

#include "tables.h"

const struct record *record_named(const char *name) {
    for (const struct record *const *record = all_records; *record; record++)
        if (strcmp((*record)->name, name) == 0) return *record;
    abort();
}

void *new_record(const struct record *record) {
    void *made = grab(record->size);
    /* What the SAMPAN_…_INIT of the record says: its size, and nothing asked for. */
    *(size_t *)made = record->size;
    return made;
}

/* A list of pointers that ends with NULL, with one more. */
static void **longer(void *at, void *item) {
    void **old = *(void ***)at;
    size_t len = 0;
    while (old && old[len]) len++;
    void **list = grab((len + 2) * sizeof *list);
    if (len) memcpy(list, old, len * sizeof *list);
    list[len] = item;
    *(void ***)at = list;
    return list;
}

static void put_pair(void *at, const char *key, const char *value) {
    sampan_pair *old = *(sampan_pair **)at;
    size_t len = 0;
    while (old && old[len].key) len++;
    sampan_pair *map = grab((len + 2) * sizeof *map);
    if (len) memcpy(map, old, len * sizeof *map);
    map[len] = (sampan_pair){key, value};
    *(sampan_pair **)at = map;
}

static bool put_item(void *at, const struct record *record, const char *rest, char *text) {
    char *end;
    size_t index = strtoul(rest, &end, 10), len = 0;
    if (*end != '.') return fail("write field.0.member=");
    void **list = *(void ***)at;
    while (list && list[len]) len++;
    if (index == len) list = longer(at, new_record(record));
    return put(record, list[index], end + 1, text);
}

static bool number_of_word(const struct field *field, const char *text, int32_t *number) {
    for (*number = 0; field->words[*number]; ++*number)
        if (strcmp(field->words[*number], text) == 0) return true;
    return fail("%s is no word of %s", text, field->name);
}

static bool put_scalar(const struct field *field, void *at, char *text) {
    switch (field->kind) {
    case KIND_BOOL: *(bool *)at = strcmp(text, "true") == 0; return true;
    case KIND_I32: *(int32_t *)at = (int32_t)strtol(text, NULL, 10); return true;
    case KIND_I64: *(int64_t *)at = strtoll(text, NULL, 10); return true;
    case KIND_U32: *(uint32_t *)at = (uint32_t)strtoul(text, NULL, 10); return true;
    case KIND_U64: *(uint64_t *)at = strtoull(text, NULL, 10); return true;
    case KIND_F64: *(double *)at = strtod(text, NULL); return true;
    case KIND_WORD: return number_of_word(field, text, at);
    default: return fail("%s can't be set", field->name);
    }
}

static bool put_field(const struct field *field, char *into, const char *rest, char *text) {
    void *at = into + field->at;
    switch (field->kind) {
    case KIND_TEXT: *(const char **)at = text; return true;
    case KIND_TEXTS: longer(at, text); return true;
    case KIND_MAP: put_pair(at, rest, text); return true;
    case KIND_RECORDS: return put_item(at, field->record, rest, text);
    case KIND_BYTES: return unescape(text, at, (size_t *)(into + field->len_at));
    default:
        /* An optional number is a pointer to one. */
        if (field->optional) at = *(void **)at = grab(sizeof(uint64_t));
        return put_scalar(field, at, text);
    }
}

bool put(const struct record *record, void *into, const char *path, char *text) {
    size_t len = strcspn(path, ".");
    for (const struct field *field = record->fields; field->name; field++)
        if (strlen(field->name) == len && strncmp(field->name, path, len) == 0)
            return put_field(field, into, path[len] ? path + len + 1 : "", text);
    return fail("%s has no %s", record->name, path);
}

static void tell_texts(const char *path, const char *const *texts) {
    char *all = "";
    long long len = 0;
    for (; texts[len]; len++) {
        set_text(format("%s.%lld", path, len), texts[len]);
        all = format("%s%s%s", all, len ? " " : "", texts[len]);
    }
    if (len) set_text(format("%s.last", path), texts[len - 1]);
    set_text(path, all);
    set_number(format("%s.len", path), len);
}

static void tell_map(const char *path, const sampan_pair *map) {
    long long len = 0;
    for (; map[len].key; len++) set_text(format("%s.%s", path, map[len].key), map[len].value ? map[len].value : "");
    set_number(format("%s.len", path), len);
}

void tell_list(const char *path, const struct record *record, const void *const *items) {
    long long len = 0;
    for (; items[len]; len++) tell(format("%s.%lld", path, len), record, items[len]);
    if (len) tell(format("%s.last", path), record, items[len - 1]);
    set_number(format("%s.len", path), len);
}

static void tell_scalar(const char *path, const struct field *field, const void *at) {
    switch (field->kind) {
    case KIND_BOOL: set_value(path, *(const bool *)at ? "true" : "false"); break;
    case KIND_I32: set_number(path, *(const int32_t *)at); break;
    case KIND_I64: set_number(path, *(const int64_t *)at); break;
    case KIND_U32: set_number(path, *(const uint32_t *)at); break;
    case KIND_U64: set_value(path, format("%llu", (unsigned long long)*(const uint64_t *)at)); break;
    case KIND_F64: set_value(path, format("%g", *(const double *)at)); break;
    case KIND_WORD: set_value(path, field->words[*(const int32_t *)at]); break;
    default: abort();
    }
}

static void tell_field(const char *path, const struct field *field, const char *from) {
    const void *at = from + field->at;
    bool inside = !field->optional && (field->kind < KIND_TEXT || field->kind == KIND_WORD);
    const void *pointer = inside ? at : *(const void *const *)at;
    if (!pointer && field->optional) {
        set_value(path, "none");
        return;
    }
    switch (field->kind) {
    case KIND_TEXT: set_text(path, pointer ? pointer : ""); break;
    case KIND_BYTES: set_bytes(path, pointer, *(const size_t *)(from + field->len_at)); break;
    case KIND_TEXTS: tell_texts(path, pointer); break;
    case KIND_MAP: tell_map(path, pointer); break;
    case KIND_RECORD: tell(path, field->record, pointer); break;
    case KIND_RECORDS: tell_list(path, field->record, pointer); break;
    default: tell_scalar(path, field, pointer);
    }
}

void tell(const char *path, const struct record *record, const void *from) {
    for (const struct field *field = record->fields; field->name; field++)
        tell_field(format("%s.%s", path, field->name), field, from);
}

void tell_event(const char *path, const sampan_event *event) {
    const struct event *kind = &event_kinds[event->kind];
    set_value(format("%s.event", path), kind->word);
    tell(path, kind->record, event);
}
