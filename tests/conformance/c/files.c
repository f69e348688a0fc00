/* The driver's own operations, and files into a container and out of it. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"

int32_t do_mkdir(struct call *c, sampan_error **err) {
    (void)err;
    return mkdir(c->plain[0], 0777);
}

int32_t do_fifo(struct call *c, sampan_error **err) {
    (void)err;
    return mkfifo(c->plain[0], 0700);
}

int32_t do_write(struct call *c, sampan_error **err) {
    (void)err;
    uint8_t *bytes;
    size_t len;
    FILE *file = fopen(c->plain[0], "wb");
    if (!file) return -1;
    bool written = unescape(c->plain[1], &bytes, &len) && fwrite(bytes, 1, len, file) == len;
    return fclose(file) || !written ? -1 : 0;
}

int32_t do_read(struct call *c, sampan_error **err) {
    (void)err;
    FILE *file = fopen(c->plain[0], "rb");
    if (!file) return -1;
    char *bytes = grab(1 << 16);
    size_t len = fread(bytes, 1, 1 << 16, file);
    set_bytes(c->result, bytes, len);
    return fclose(file);
}

int32_t do_copy_from(struct call *c, sampan_error **err) {
    return sampan_container_copy_from(c->container, c->plain[0], c->plain[1], c->options, c->cancel, err);
}

int32_t do_copy_to(struct call *c, sampan_error **err) {
    return sampan_container_copy_to(c->container, c->plain[0], c->plain[1], c->options, c->cancel, err);
}

int32_t do_path_stat(struct call *c, sampan_error **err) {
    TELL(c, sampan_path_stat, sampan_container_path_stat(c->container, c->plain[0], c->options, c->cancel, &out, err));
}

int32_t do_get_archive(struct call *c, sampan_error **err) {
    int file = open(c->plain[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return -1;
    int32_t code = sampan_container_get_archive(c->container, c->plain[0], file, c->options, c->cancel, err);
    close(file);
    return code;
}

int32_t do_put_archive(struct call *c, sampan_error **err) {
    int file = open(c->plain[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    int32_t code = sampan_container_put_archive(c->container, c->plain[0], file, c->cancel, err);
    close(file);
    return code;
}

int32_t do_read_in(struct call *c, sampan_error **err) {
    int32_t file;
    int32_t code = sampan_container_open(c->container, c->plain[0], c->plain[1], c->cancel, &file, err);
    if (!code) read_stream(file, c->result);
    return code;
}

int32_t do_write_in(struct call *c, sampan_error **err) {
    int32_t file;
    int32_t code = sampan_container_open(c->container, c->plain[0], c->plain[1], c->cancel, &file, err);
    return code || write_input(c, file) ? code : -1;
}
