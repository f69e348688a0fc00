/* Values: a flat list of paths and texts. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

struct value {
    const char *path;
    const char *text;
    struct value *next;
};

static struct value *values;

void set_value(const char *path, const char *text) {
    struct value *value = grab(sizeof *value);
    *value = (struct value){format("%s", path), format("%s", text), values};
    values = value;
}

void set_bytes(const char *path, const void *bytes, size_t len) { set_value(path, escape(bytes, len)); }

void set_text(const char *path, const char *text) { set_value(path, text ? escape(text, strlen(text)) : "none"); }

void set_number(const char *path, long long number) { set_value(path, format("%lld", number)); }

void forget(const char *path) {
    size_t len = strlen(path);
    for (struct value **at = &values; *at;) {
        const char *other = (*at)->path;
        bool below = strncmp(other, path, len) == 0 && (other[len] == '\0' || other[len] == '.');
        if (below) *at = (*at)->next;
        else at = &(*at)->next;
    }
}

void forget_all(void) { values = NULL; }

const char *value_of(const char *path) {
    for (const struct value *value = values; value; value = value->next)
        if (strcmp(value->path, path) == 0) return value->text;
    return NULL;
}

char *escape(const void *bytes, size_t len) {
    const unsigned char *from = bytes;
    char *text = grab(4 * len + 1), *to = text;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = from[i];
        if (c == '\n') to += sprintf(to, "\\n");
        else if (c == '\t') to += sprintf(to, "\\t");
        else if (c == '\\') to += sprintf(to, "\\\\");
        else if (c >= 32 && c < 127) *to++ = (char)c;
        else to += sprintf(to, "\\x%02x", c);
    }
    return text;
}

static bool escaped(const char **from, uint8_t *byte) {
    const char *kind = (*from)++;
    switch (*kind) {
    case 'n': *byte = '\n'; return true;
    case 't': *byte = '\t'; return true;
    case '\\': *byte = '\\'; return true;
    case 'x': {
        if (!kind[1] || !kind[2]) return false;
        char digits[3] = {kind[1], kind[2], '\0'};
        *byte = (uint8_t)strtoul(digits, NULL, 16);
        *from += 2;
        return true;
    }
    default: return false;
    }
}

bool unescape(const char *text, uint8_t **bytes, size_t *len) {
    uint8_t *to = grab(strlen(text) + 1);
    *bytes = to;
    while (*text) {
        uint8_t byte = (uint8_t)*text++;
        if (byte == '\\' && !escaped(&text, &byte)) return fail("a backslash that means nothing");
        *to++ = byte;
    }
    *len = (size_t)(to - *bytes);
    return true;
}
