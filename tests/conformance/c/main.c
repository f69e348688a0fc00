/* The cases, read and done line by line. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "driver.h"

enum { MOST_WORDS = 64 };
enum outcome { OK, FAILED, SKIPPED };

static const char *scratch, *filter = "";
static int passed, failed, skipped, cases;
static char id[128];
static enum outcome outcome;

/* Cuts a line into words, in place; quoted parts stand for themselves. */
static size_t split(char *line, char **words) {
    size_t count = 0;
    char *to = line, quote = '\0';
    bool inside = false;
    for (const char *from = line; *from; from++) {
        if (quote && *from == quote) quote = '\0';
        else if (!quote && (*from == '\'' || *from == '"') && (inside || count < MOST_WORDS)) {
            if (!inside) words[count++] = to;
            inside = true;
            quote = *from;
        } else if (!quote && (*from == ' ' || *from == '\n')) {
            if (inside) *to++ = '\0';
            inside = false;
        } else {
            if (!inside && count < MOST_WORDS) words[count++] = to;
            inside = true;
            *to++ = *from;
        }
    }
    *to = '\0';
    return count;
}

static bool filled(char **word) {
    char *path = strstr(*word, "%{");
    if (!path) return true;
    char *after = strchr(path, '}');
    if (!after) return fail("%%{ without }");
    *path = *after = '\0';
    const char *value = value_of(path + 2);
    if (!value) return fail("there is no %s", path + 2);
    char *rest = after + 1;
    if (!filled(&rest)) return false;
    *word = format("%s%s%s", *word, value, rest);
    return true;
}

static bool ends(const char *text, const char *end) {
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static bool expect(const char *path, const char *verb, const char *want) {
    const char *got = value_of(path);
    if (!got) return fail("there is no %s", path);
    bool holds = strcmp(verb, "is") == 0       ? strcmp(got, want) == 0
                 : strcmp(verb, "not") == 0    ? strcmp(got, want) != 0
                 : strcmp(verb, "has") == 0    ? strstr(got, want) != NULL
                 : strcmp(verb, "lacks") == 0  ? strstr(got, want) == NULL
                 : strcmp(verb, "begins") == 0 ? strncmp(got, want, strlen(want)) == 0
                                               : strcmp(verb, "ends") == 0 && ends(got, want);
    return holds || fail("expected %s %s %s, got %s", path, verb, want, got);
}

static bool succeeds(char **words, size_t count, const char *name) {
    sampan_error *err = NULL;
    bool made = make_call(words, count, name, &err);
    if (err) fail("%s: %s", sampan_error_kind(err), sampan_error_message(err));
    made = made && !err;
    sampan_error_free(err);
    return made;
}

static bool fails(const char *kind, char **words, size_t count) {
    sampan_error *err = NULL;
    if (!make_call(words, count, "_", &err)) return false;
    if (!err) return fail("it did not fail");
    tell_error(err);
    bool same = strcmp(sampan_error_kind(err), kind) == 0;
    if (!same) fail("it failed with %s: %s", sampan_error_kind(err), sampan_error_message(err));
    sampan_error_free(err);
    return same;
}

static bool has(const char *fact, char **any, size_t count) {
    if (!tell_info()) return false;
    const char *value = value_of(format("info.%s", fact));
    for (size_t i = 0; i < count; i++)
        if (value && strcmp(value, any[i]) == 0) return true;
    outcome = SKIPPED;
    return true;
}

static bool line(char **words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!filled(&words[i])) return false;
    if (strcmp(words[0], "needs") == 0) return has(words[1], words + 2, count - 2);
    if (strcmp(words[0], "expect") == 0) return expect(words[1], words[2], count > 3 ? words[3] : "");
    if (strcmp(words[0], "fails") == 0) return fails(words[1], words + 2, count - 2);
    if (count > 2 && strcmp(words[1], "=") == 0) return succeeds(words + 2, count - 2, words[0]);
    return succeeds(words, count, "_");
}

static void begin(const char *name) {
    snprintf(id, sizeof id, "%s", name);
    outcome = OK;
    const char *dir = format("%s/case-%d", scratch, ++cases);
    if (mkdir(dir, 0777)) abort();
    set_text("image", test_image);
    set_text("registry", format("%.*s", (int)strcspn(test_image, "/"), test_image));
    set_text("root", format("%s/root", scratch));
    set_text("run", format("%s/run", scratch));
    set_text("dir", dir);
}

/* Told as it is: a directory below may belong to other ids, so whoever made the scratch directory removes all. */
static void end(void) {
    if (!*id) return;
    int left = clean_shared();
    if (outcome == OK && left) outcome = FAILED, fail("a container is left");
    if (outcome == OK) passed++, printf("ok %s\n", id);
    else if (outcome == SKIPPED) skipped++, printf("skipped %s\n", id);
    else failed++, printf("FAILED %s: %s\n", id, why);
    fflush(stdout);
    *id = '\0';
    free_handles();
    forget_all();
    drop_all();
}

static void run_file(const char *dir, const char *name) {
    char text[4096], path[4096], said[sizeof why], *words[MOST_WORDS];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    if (!file) abort();
    for (int number = 1; fgets(text, sizeof text, file); number++) {
        size_t count = *text == '#' ? 0 : split(text, words);
        if (count == 2 && strcmp(words[0], "case") == 0) {
            end();
            if (strstr(words[1], filter)) begin(words[1]);
        } else if (count && *id && outcome == OK && !line(words, count)) {
            outcome = FAILED;
            snprintf(said, sizeof said, "%s:%d: %.3800s", name, number, why);
            fail("%s", said);
        }
    }
    end();
    fclose(file);
}

int main(int argc, char **argv) {
    test_image = getenv("SAMPAN_TEST_IMAGE");
    if (argc < 3 || !test_image) return fprintf(stderr, "usage: conformance CASES SCRATCH [FILTER]\n"), 2;
    scratch = argv[2];
    if (argc > 3) filter = argv[3];
    if (!open_shared(format("%s/root", scratch), format("%s/run", scratch))) return fprintf(stderr, "%s\n", why), 1;
    struct dirent **files;
    int count = scandir(argv[1], &files, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (files[i]->d_name[0] != '.') run_file(argv[1], files[i]->d_name);
        free(files[i]);
    }
    free(files);
    close_shared();
    drop_all();
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}
