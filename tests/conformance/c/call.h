/* One call, and the operations that it may be: what the parts of call.c share. */

#ifndef CALL_H
#define CALL_H

#include "driver.h"

struct call {
    sampan_engine *engine;
    sampan_container *container;
    const char *result;
    char **plain;
    const struct record *record;
    void *options;
    double timeout;
    sampan_cancel *cancel;
    sampan_stdio streams;
    int files[3];
    const char *cancel_by, *cancel_on, *stop_at, *input;
    bool cancel_now;
    long long count;
    long long events;
};

typedef int32_t operation(struct call *call, sampan_error **err);

/* Keeps a handle by its name until the case ends. */
void keep(const char *name, sampan_engine *engine, sampan_container *container);

/* A result of which all is told, and which is freed. */
#define TELL(call, type, made)                                                                                         \
    do {                                                                                                               \
        type *out = NULL;                                                                                              \
        int32_t code = (made);                                                                                         \
        if (!code) tell((call)->result, record_named(#type + sizeof "sampan_" - 1), out);                              \
        type##_free(out);                                                                                              \
        return code;                                                                                                   \
    } while (0)

#define TELL_LIST(call, type, made)                                                                                    \
    do {                                                                                                               \
        type##_list *out = NULL;                                                                                       \
        int32_t code = (made);                                                                                         \
        const char *name = #type + sizeof "sampan_" - 1;                                                               \
        if (!code) tell_list((call)->result, record_named(name), (const void *const *)out->items);                     \
        type##_list_free(out);                                                                                         \
        return code;                                                                                                   \
    } while (0)

/* files.c: the driver's own operations, and files into a container and out of it. */
operation do_mkdir, do_fifo, do_write, do_read, do_copy_from, do_copy_to, do_path_stat, do_get_archive,
    do_put_archive, do_read_in, do_write_in;

/* engine.c */
operation do_open, do_info, do_doctor, do_pull, do_images, do_inspect_image, do_tag, do_remove_image, do_gc,
    do_create, do_spawn, do_run, do_plan, do_containers, do_events, do_container;

/* container.c */
operation do_start, do_stop, do_restart, do_kill, do_wait, do_wait_healthy, do_inspect, do_rename, do_remove,
    do_pause, do_unpause, do_top, do_stats, do_update, do_resize;

/* streams.c: what comes piece by piece. */
operation do_logs, do_exec, do_exec_start, do_attach, do_stats_stream;
/* Tells all that comes, to the end, and closes the descriptor; less than 0 is none. */
void read_stream(int file, const char *path);
/* Writes what the call is to write, and closes the descriptor. */
bool write_input(struct call *call, int in);

#endif
