/* What a container is asked for. */

#include <stdlib.h>

#include "call.h"

int32_t do_start(struct call *c, sampan_error **err) {
    return sampan_container_start(c->container, &c->streams, c->cancel, err);
}

int32_t do_stop(struct call *c, sampan_error **err) {
    return sampan_container_stop(c->container, c->options, c->cancel, err);
}

int32_t do_restart(struct call *c, sampan_error **err) {
    return sampan_container_restart(c->container, c->options, c->cancel, err);
}

int32_t do_kill(struct call *c, sampan_error **err) {
    return sampan_container_kill(c->container, c->plain[0], err);
}

int32_t do_wait(struct call *c, sampan_error **err) {
    TELL(c, sampan_exit_status, sampan_container_wait(c->container, c->timeout, c->cancel, &out, err));
}

int32_t do_wait_healthy(struct call *c, sampan_error **err) {
    return sampan_container_wait_healthy(c->container, c->timeout, c->cancel, err);
}

int32_t do_inspect(struct call *c, sampan_error **err) {
    TELL(c, sampan_container_info, sampan_container_inspect(c->container, &out, err));
}

int32_t do_rename(struct call *c, sampan_error **err) {
    return sampan_container_rename(c->container, c->plain[0], err);
}

int32_t do_remove(struct call *c, sampan_error **err) {
    return sampan_container_remove(c->container, c->options, err);
}

int32_t do_pause(struct call *c, sampan_error **err) {
    return sampan_container_pause(c->container, c->cancel, err);
}

int32_t do_unpause(struct call *c, sampan_error **err) { return sampan_container_unpause(c->container, err); }

int32_t do_top(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_process_info, sampan_container_top(c->container, &out, err));
}

int32_t do_stats(struct call *c, sampan_error **err) {
    TELL(c, sampan_container_stats, sampan_container_usage(c->container, &out, err));
}

int32_t do_update(struct call *c, sampan_error **err) {
    return sampan_container_update(c->container, c->options, err);
}

int32_t do_resize(struct call *c, sampan_error **err) {
    uint32_t rows = (uint32_t)strtoul(c->plain[0], NULL, 10), columns = (uint32_t)strtoul(c->plain[1], NULL, 10);
    return sampan_container_resize(c->container, rows, columns, err);
}
