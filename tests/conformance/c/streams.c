/* What comes piece by piece: logs, streams of commands and containers, readings. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"

struct text {
    char *bytes;
    size_t len;
};

static void append(struct text *text, const sampan_log_entry *entry) {
    char *longer = grab(text->len + entry->len + 1);
    if (text->len) memcpy(longer, text->bytes, text->len);
    if (entry->len) memcpy(longer + text->len, entry->data, entry->len);
    *text = (struct text){longer, text->len + entry->len};
}

/* False at the end, be it the log's or the one that was asked for. */
static bool next_entry(struct call *c, sampan_log *log, struct text *texts, long long *count, int32_t *code,
                       sampan_error **err) {
    sampan_log_entry *entry = NULL;
    *code = sampan_log_next(log, c->cancel, &entry, err);
    if (*code || !entry) return false;
    append(&texts[entry->stream == SAMPAN_STREAM_STDERR], entry);
    tell(format("%s.entries.%lld", c->result, (*count)++), record_named("log_entry"), entry);
    forget(format("%s.entries.last", c->result));
    tell(format("%s.entries.last", c->result), record_named("log_entry"), entry);
    bool end = c->stop_at && strcmp(escape(entry->data, entry->len), c->stop_at) == 0;
    sampan_log_entry_free(entry);
    return !end;
}

int32_t do_logs(struct call *c, sampan_error **err) {
    sampan_log *log;
    struct text texts[2] = {{"", 0}, {"", 0}};
    long long count = 0;
    int32_t code = sampan_container_logs(c->container, c->options, &log, err);
    if (code) return code;
    while (next_entry(c, log, texts, &count, &code, err)) continue;
    set_number(format("%s.entries.len", c->result), count);
    set_bytes(format("%s.stdout", c->result), texts[0].bytes, texts[0].len);
    set_bytes(format("%s.stderr", c->result), texts[1].bytes, texts[1].len);
    sampan_log_free(log);
    return code;
}

/* To the end, which is an error with a terminal. */
void read_stream(int file, const char *path) {
    struct text text = {"", 0};
    char bytes[4096];
    if (file < 0) {
        set_value(path, "none");
        return;
    }
    for (ssize_t got; (got = read(file, bytes, sizeof bytes)) > 0;) {
        sampan_log_entry entry = {.data = (const uint8_t *)bytes, .len = (size_t)got};
        append(&text, &entry);
    }
    close(file);
    set_bytes(path, text.bytes, text.len);
}

bool write_input(struct call *c, int in) {
    uint8_t *bytes;
    size_t len;
    if (in < 0) return true;
    bool written = unescape(c->input ? c->input : "", &bytes, &len) && write(in, bytes, len) == (ssize_t)len;
    close(in);
    return written;
}

static void read_streams(struct call *c, int out, int errors) {
    const char *stdout_path = format("%s.stdout", c->result), *stderr_path = format("%s.stderr", c->result);
    read_stream(out, stdout_path);
    read_stream(errors, stderr_path);
}

int32_t do_exec(struct call *c, sampan_error **err) {
    TELL(c, sampan_exec_output, sampan_container_exec(c->container, c->options, c->cancel, &out, err));
}

int32_t do_exec_start(struct call *c, sampan_error **err) {
    sampan_exec *exec;
    int32_t code = sampan_container_exec_start(c->container, c->options, c->cancel, &exec, err);
    if (code) return code;
    if (!write_input(c, sampan_exec_take_stdin(exec))) code = -1;
    read_streams(c, sampan_exec_take_stdout(exec), sampan_exec_take_stderr(exec));
    sampan_exit_status *status = NULL;
    if (!code) code = sampan_exec_wait(exec, c->cancel, &status, err);
    if (!code) tell(c->result, record_named("exit_status"), status);
    sampan_exit_status_free(status);
    sampan_exec_free(exec);
    return code;
}

int32_t do_attach(struct call *c, sampan_error **err) {
    sampan_attachment *joined;
    int32_t code = sampan_container_attach(c->container, strcmp(c->plain[0], "true") == 0, c->cancel, &joined, err);
    if (code) return code;
    if (!write_input(c, sampan_attachment_take_stdin(joined))) code = -1;
    read_streams(c, sampan_attachment_take_stdout(joined), sampan_attachment_take_stderr(joined));
    sampan_exit_status *status = NULL;
    if (!code) code = sampan_attachment_wait(joined, c->cancel, &status, err);
    if (!code) tell(c->result, record_named("exit_status"), status);
    sampan_exit_status_free(status);
    sampan_attachment_free(joined);
    return code;
}

int32_t do_stats_stream(struct call *c, sampan_error **err) {
    sampan_stats_stream *stream;
    sampan_container_stats *reading = NULL;
    long long count = 0;
    int32_t code = sampan_container_stats_stream(c->container, strtod(c->plain[0], NULL), &stream, err);
    if (code) return code;
    while (count < c->count && !(code = sampan_stats_stream_next(stream, c->cancel, &reading, err)) && reading) {
        tell(format("%s.%lld", c->result, count++), record_named("container_stats"), reading);
        forget(format("%s.last", c->result));
        tell(format("%s.last", c->result), record_named("container_stats"), reading);
        sampan_container_stats_free(reading);
    }
    set_number(format("%s.len", c->result), count);
    sampan_stats_stream_free(stream);
    return code;
}
