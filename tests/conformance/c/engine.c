/* What an engine is asked for. */

#include <string.h>

#include "call.h"

static int32_t heard(const sampan_event *event, void *userdata) {
    struct call *call = userdata;
    char *path = format("events.%lld", call->events);
    tell_event(path, event);
    forget("events.last");
    tell_event("events.last", event);
    forget("events.len");
    set_number("events.len", ++call->events);
    return call->cancel_on && strcmp(value_of(format("%s.event", path)), call->cancel_on) == 0;
}

static sampan_progress watching(struct call *call) {
    sampan_progress progress = SAMPAN_PROGRESS_INIT;
    progress.event = heard;
    progress.userdata = call;
    return progress;
}

int32_t do_open(struct call *c, sampan_error **err) {
    sampan_engine *engine;
    int32_t code = sampan_engine_open(c->options, &engine, err);
    if (!code) keep(c->result, engine, NULL);
    return code;
}

int32_t do_info(struct call *c, sampan_error **err) {
    TELL(c, sampan_engine_info, sampan_engine_inspect(c->engine, &out, err));
}

int32_t do_doctor(struct call *c, sampan_error **err) {
    TELL(c, sampan_doctor_report, sampan_engine_doctor(c->engine, &out, err));
}

int32_t do_pull(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    TELL(c, sampan_image_info,
         sampan_engine_pull(c->engine, c->plain[0], c->options, &progress, c->cancel, &out, err));
}

int32_t do_images(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_image_info, sampan_engine_images(c->engine, &out, err));
}

int32_t do_inspect_image(struct call *c, sampan_error **err) {
    TELL(c, sampan_image_info, sampan_engine_inspect_image(c->engine, c->plain[0], &out, err));
}

int32_t do_tag(struct call *c, sampan_error **err) {
    return sampan_engine_tag(c->engine, c->plain[0], c->plain[1], err);
}

int32_t do_remove_image(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_removed_image, sampan_engine_remove_image(c->engine, c->plain[0], c->options, &out, err));
}

int32_t do_gc(struct call *c, sampan_error **err) {
    TELL(c, sampan_prune_report, sampan_engine_gc(c->engine, &out, err));
}

int32_t do_create(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    sampan_container *container;
    int32_t code = sampan_engine_create(c->engine, c->options, &progress, c->cancel, &container, err);
    if (!code) keep(c->result, NULL, container);
    return code;
}

int32_t do_spawn(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    sampan_container *container;
    int32_t code = sampan_engine_spawn(c->engine, c->options, &c->streams, &progress, c->cancel, &container, err);
    if (!code) keep(c->result, NULL, container);
    return code;
}

int32_t do_run(struct call *c, sampan_error **err) {
    sampan_progress progress = watching(c);
    TELL(c, sampan_output, sampan_engine_run(c->engine, c->options, &progress, c->cancel, &out, err));
}

int32_t do_plan(struct call *c, sampan_error **err) {
    char *plan = NULL;
    int32_t code = sampan_engine_plan(c->engine, c->options, &plan, err);
    if (!code) set_text(c->result, plan);
    sampan_string_free(plan);
    return code;
}

int32_t do_containers(struct call *c, sampan_error **err) {
    TELL_LIST(c, sampan_container_info, sampan_engine_containers(c->engine, c->options, &out, err));
}

int32_t do_events(struct call *c, sampan_error **err) {
    sampan_event_stream *stream;
    sampan_engine_event *event = NULL;
    long long count = 0;
    int32_t code = sampan_engine_events(c->engine, c->options, &stream, err);
    if (code) return code;
    while (!(code = sampan_event_stream_next(stream, c->cancel, &event, err)) && event) {
        tell(format("%s.%lld", c->result, count++), record_named("engine_event"), event);
        forget(format("%s.last", c->result));
        tell(format("%s.last", c->result), record_named("engine_event"), event);
        sampan_engine_event_free(event);
    }
    set_number(format("%s.len", c->result), count);
    sampan_event_stream_free(stream);
    return code;
}

int32_t do_container(struct call *c, sampan_error **err) {
    sampan_container *container;
    int32_t code = sampan_engine_container(c->engine, c->plain[0], &container, err);
    if (!code) keep(c->result, NULL, container);
    return code;
}
