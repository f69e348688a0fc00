/* The ABI that later headers are held against; `cargo run -p xtask -- abi --renew` writes it. */
#ifndef SAMPAN_H
#define SAMPAN_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#define SAMPAN_OK 0
#define SAMPAN_ERROR_UNKNOWN 1
#define SAMPAN_ERROR_PANIC 2
#define SAMPAN_ERROR_INVALID_ARGUMENT 3
#define SAMPAN_ERROR_NOT_FOUND 4
#define SAMPAN_ERROR_ALREADY_EXISTS 5
#define SAMPAN_ERROR_CONFLICT 6
#define SAMPAN_ERROR_PERMISSION_DENIED 7
#define SAMPAN_ERROR_UNSUPPORTED 8
#define SAMPAN_ERROR_CANCELLED 9
#define SAMPAN_ERROR_TIMEOUT 10
#define SAMPAN_ERROR_NETWORK 11
#define SAMPAN_ERROR_UNAUTHORIZED 12
#define SAMPAN_ERROR_REGISTRY 13
#define SAMPAN_ERROR_INTEGRITY 14
#define SAMPAN_ERROR_INVALID_IMAGE 15
#define SAMPAN_ERROR_NO_SPACE 16
#define SAMPAN_ERROR_LIMIT_EXCEEDED 17
#define SAMPAN_ERROR_STORE 18
#define SAMPAN_ERROR_LAUNCH 19
#define SAMPAN_ERROR_COMMAND_NOT_FOUND 20
#define SAMPAN_ERROR_COMMAND_NOT_EXECUTABLE 21
#define SAMPAN_ERROR_UNKNOWN_USER 22
#define SAMPAN_ERROR_UNENFORCEABLE_LIMIT 23
#define SAMPAN_ERROR_SYSTEM 24
#define SAMPAN_ERROR_FORKED_HANDLE 25
#define SAMPAN_ABI_MAJOR 0
#define SAMPAN_ABI_MINOR 1
typedef struct sampan_attachment sampan_attachment;
typedef struct sampan_cancel sampan_cancel;
typedef struct sampan_container sampan_container;
typedef struct sampan_engine sampan_engine;
typedef struct sampan_error sampan_error;
typedef struct sampan_event_stream sampan_event_stream;
typedef struct sampan_exec sampan_exec;
typedef struct sampan_log sampan_log;
typedef struct sampan_stats_stream sampan_stats_stream;
typedef struct sampan_exit_status {
    size_t struct_size;
    int32_t code;
    const int32_t *signal;
    bool oom_killed;
    const char *finished_at;
    const char *error;
} sampan_exit_status;
typedef struct sampan_stdio {
    size_t size;
    const int32_t *stdin_fd;
    const int32_t *stdout_fd;
    const int32_t *stderr_fd;
} sampan_stdio;
typedef struct sampan_stop_options {
    size_t size;
    const double *timeout;
    const char *signal;
} sampan_stop_options;
typedef struct sampan_log_options {
    size_t size;
    bool follow;
    const char *since;
    const char *until;
    const uint64_t *tail;
    bool no_stdout;
    bool no_stderr;
    bool whole_lines;
} sampan_log_options;
typedef int32_t sampan_status;
typedef struct sampan_pair {
    const char *key;
    const char *value;
} sampan_pair;
typedef int32_t sampan_mount_kind;
typedef struct sampan_mount {
    size_t size;
    sampan_mount_kind kind;
    const char *source;
    const char *target;
    bool read_only;
    const char *const *options;
} sampan_mount;
typedef int32_t sampan_rung;
typedef struct sampan_ulimit {
    size_t size;
    const char *name;
    int64_t soft;
    int64_t hard;
} sampan_ulimit;
typedef int32_t sampan_tie;
typedef int32_t sampan_pull_policy;
typedef struct sampan_device_weight {
    size_t size;
    const char *path;
    uint32_t weight;
} sampan_device_weight;
typedef struct sampan_device_rate {
    size_t size;
    const char *path;
    uint64_t rate;
} sampan_device_rate;
typedef struct sampan_run_options {
    size_t size;
    const char *image;
    const char *const *command;
    const char *const *entrypoint;
    const char *name;
    const struct sampan_pair *env;
    const char *workdir;
    const char *user;
    const char *const *group_add;
    const char *hostname;
    const struct sampan_pair *labels;
    const struct sampan_mount *const *mounts;
    const char *network;
    const int64_t *memory;
    const int64_t *memory_swap;
    const int64_t *memory_reservation;
    const double *cpus;
    const uint64_t *cpu_shares;
    const char *cpuset_cpus;
    const int64_t *pids_limit;
    bool best_effort;
    const char *cgroup_parent;
    const char *const *cap_add;
    const char *const *cap_drop;
    bool privileged;
    bool read_only;
    const char *const *security_opt;
    const struct sampan_ulimit *const *ulimits;
    const struct sampan_pair *sysctls;
    const uint64_t *shm_size;
    const int32_t *oom_score_adj;
    bool tty;
    bool interactive;
    const uint8_t *stdin_data;
    size_t stdin_len;
    const char *stop_signal;
    const double *stop_timeout;
    bool auto_remove;
    sampan_tie tie;
    sampan_pull_policy pull;
    const char *platform;
    const char *pid;
    const char *ipc;
    const char *uts;
    const char *cgroupns;
    const char *const *devices;
    bool init;
    const char *log_driver;
    const struct sampan_pair *log_opt;
    const char *restart;
    const char *health_cmd;
    const double *health_interval;
    const double *health_timeout;
    const uint32_t *health_retries;
    const double *health_start_period;
    const double *health_start_interval;
    bool no_healthcheck;
    const int64_t *cpu_quota;
    const uint64_t *cpu_period;
    const char *cpuset_mems;
    const uint64_t *cpu_rt_runtime;
    const uint64_t *cpu_rt_period;
    const uint32_t *blkio_weight;
    const struct sampan_device_weight *const *blkio_weight_device;
    const struct sampan_device_rate *const *device_read_bps;
    const struct sampan_device_rate *const *device_write_bps;
    const struct sampan_device_rate *const *device_read_iops;
    const struct sampan_device_rate *const *device_write_iops;
    const int64_t *memory_swappiness;
    bool oom_kill_disable;
    const char *domainname;
    const struct sampan_pair *annotations;
    const char *const *device_cgroup_rules;
    const char *const *volumes_from;
    const char *userns;
} sampan_run_options;
typedef int32_t sampan_health_status;
typedef struct sampan_probe {
    size_t struct_size;
    const char *started_at;
    const char *finished_at;
    int32_t exit_code;
    const char *output;
} sampan_probe;
typedef struct sampan_health {
    size_t struct_size;
    sampan_health_status status;
    uint32_t failing_streak;
    const struct sampan_probe *const *log;
} sampan_health;
typedef struct sampan_container_info {
    size_t struct_size;
    const char *id;
    const char *name;
    const char *image;
    const char *image_id;
    const char *const *command;
    sampan_status status;
    const int32_t *pid;
    const int32_t *shim_pid;
    const char *created_at;
    const char *started_at;
    const struct sampan_exit_status *exit;
    const struct sampan_pair *labels;
    const char *const *env;
    const char *workdir;
    const char *user;
    const char *hostname;
    const char *network;
    const struct sampan_mount *const *mounts;
    const char *stop_signal;
    sampan_rung rung;
    const char *const *unenforced;
    const char *log_path;
    const struct sampan_run_options *options;
    const uint64_t *oom_kills;
    uint32_t restart_count;
    const struct sampan_health *health;
    const char *const *uid_map;
    const char *const *gid_map;
} sampan_container_info;
typedef struct sampan_remove_options {
    size_t size;
    bool force;
    bool volumes;
} sampan_remove_options;
typedef struct sampan_process_info {
    size_t struct_size;
    int32_t pid;
    int32_t ppid;
    uint32_t uid;
    const char *state;
    const char *tty;
    const char *started_at;
    double cpu_seconds;
    uint64_t memory;
    const char *command;
} sampan_process_info;
typedef struct sampan_process_info_list {
    size_t struct_size;
    size_t len;
    const struct sampan_process_info *const *items;
} sampan_process_info_list;
typedef struct sampan_container_stats {
    size_t struct_size;
    const char *id;
    const char *name;
    const char *time;
    const uint64_t *cpu_nanoseconds;
    uint32_t cpus;
    const uint64_t *memory;
    uint64_t memory_limit;
    const uint64_t *pids;
    const uint64_t *block_read;
    const uint64_t *block_written;
    const uint64_t *network_received;
    const uint64_t *network_sent;
    const uint64_t *oom_kills;
} sampan_container_stats;
typedef struct sampan_update_options {
    size_t size;
    const int64_t *memory;
    const int64_t *memory_swap;
    const int64_t *memory_reservation;
    const double *cpus;
    const uint64_t *cpu_shares;
    const char *cpuset_cpus;
    const int64_t *pids_limit;
    const char *restart;
    const int64_t *cpu_quota;
    const uint64_t *cpu_period;
    const char *cpuset_mems;
    const uint64_t *cpu_rt_runtime;
    const uint64_t *cpu_rt_period;
    const uint32_t *blkio_weight;
} sampan_update_options;
typedef struct sampan_exec_options {
    size_t size;
    const char *const *command;
    const struct sampan_pair *env;
    const char *workdir;
    const char *user;
    bool privileged;
    bool tty;
    const uint32_t *rows;
    const uint32_t *columns;
    bool interactive;
    const uint8_t *stdin_data;
    size_t stdin_len;
    bool detach;
    const double *timeout;
} sampan_exec_options;
typedef struct sampan_exec_output {
    size_t struct_size;
    int32_t code;
    const int32_t *signal;
    const uint8_t *stdout_data;
    size_t stdout_len;
    const uint8_t *stderr_data;
    size_t stderr_len;
    bool oom_killed;
    const char *error;
} sampan_exec_output;
typedef struct sampan_copy_options {
    size_t size;
    bool archive;
    bool follow_link;
} sampan_copy_options;
typedef struct sampan_path_stat {
    size_t struct_size;
    const char *name;
    uint64_t size;
    uint32_t mode;
    const char *mtime;
    const char *link_target;
} sampan_path_stat;
typedef int32_t sampan_cgroup_manager;
typedef struct sampan_engine_options {
    size_t size;
    const char *root;
    const char *run;
    const sampan_rung *rung;
    const bool *keep_blobs;
    const char *const *additional_stores;
    const char *helper;
    const char *const *insecure_registries;
    const uint64_t *max_unpacked_bytes;
    const uint64_t *max_entries;
    bool no_new_privileges;
    const sampan_cgroup_manager *cgroup_manager;
} sampan_engine_options;
typedef struct sampan_engine_info {
    size_t struct_size;
    const char *version;
    const char *root;
    const char *run;
    sampan_rung rung;
    const char *cgroup;
    const char *kernel;
    uint64_t containers;
    uint64_t images;
} sampan_engine_info;
typedef int32_t sampan_check_status;
typedef struct sampan_check {
    size_t struct_size;
    const char *name;
    sampan_check_status status;
    const char *detail;
    const char *hint;
} sampan_check;
typedef struct sampan_doctor_report {
    size_t struct_size;
    bool ok;
    sampan_rung rung;
    const char *reason;
    const struct sampan_check *const *checks;
    const double *self_test_ms;
} sampan_doctor_report;
typedef struct sampan_pull_options {
    size_t size;
    const char *platform;
    const uint32_t *max_downloads;
} sampan_pull_options;
typedef int32_t sampan_event_kind;
typedef struct sampan_event {
    size_t struct_size;
    sampan_event_kind kind;
    const char *reference;
    const char *digest;
    uint64_t layers;
    uint64_t bytes;
    uint64_t total;
    uint64_t done;
    uint64_t unpacked;
} sampan_event;
typedef struct sampan_progress {
    size_t size;
    int32_t (*event)(const struct sampan_event *event, void *userdata);
    void *userdata;
    void (*finalize)(void *userdata);
} sampan_progress;
typedef struct sampan_healthcheck {
    size_t struct_size;
    const char *const *test;
    double interval;
    double timeout;
    double start_period;
    double start_interval;
    uint32_t retries;
} sampan_healthcheck;
typedef struct sampan_image_info {
    size_t struct_size;
    const char *id;
    const char *digest;
    const char *const *tags;
    const char *created;
    uint64_t size;
    const char *os;
    const char *architecture;
    const char *variant;
    const char *const *layers;
    const char *const *env;
    const char *const *entrypoint;
    const char *const *command;
    const char *workdir;
    const char *user;
    const struct sampan_pair *labels;
    const char *const *exposed_ports;
    const char *const *volumes;
    const char *stop_signal;
    const struct sampan_healthcheck *healthcheck;
    const char *const *shell;
} sampan_image_info;
typedef struct sampan_image_info_list {
    size_t struct_size;
    size_t len;
    const struct sampan_image_info *const *items;
} sampan_image_info_list;
typedef struct sampan_remove_image_options {
    size_t size;
    bool force;
} sampan_remove_image_options;
typedef struct sampan_removed_image {
    size_t struct_size;
    const char *untagged;
    const char *deleted;
} sampan_removed_image;
typedef struct sampan_removed_image_list {
    size_t struct_size;
    size_t len;
    const struct sampan_removed_image *const *items;
} sampan_removed_image_list;
typedef struct sampan_prune_report {
    size_t struct_size;
    const char *const *removed;
    uint64_t bytes;
    const char *const *unread;
} sampan_prune_report;
typedef struct sampan_event_options {
    size_t size;
    const char *since;
    const char *until;
    const char *const *filters;
} sampan_event_options;
typedef struct sampan_output {
    size_t struct_size;
    const char *id;
    const struct sampan_exit_status *exit;
    const uint8_t *stdout_data;
    size_t stdout_len;
    const uint8_t *stderr_data;
    size_t stderr_len;
} sampan_output;
typedef struct sampan_list_options {
    size_t size;
    bool all;
    const char *const *filters;
} sampan_list_options;
typedef struct sampan_container_info_list {
    size_t struct_size;
    size_t len;
    const struct sampan_container_info *const *items;
} sampan_container_info_list;
typedef struct sampan_engine_event {
    size_t struct_size;
    const char *time;
    const char *kind;
    const char *action;
    const char *id;
    const struct sampan_pair *attributes;
} sampan_engine_event;
typedef int32_t sampan_stream;
typedef struct sampan_log_entry {
    size_t struct_size;
    const char *time;
    sampan_stream stream;
    const uint8_t *data;
    size_t len;
} sampan_log_entry;
typedef struct sampan_log_entry_list {
    size_t struct_size;
    size_t len;
    const struct sampan_log_entry *const *items;
} sampan_log_entry_list;
#define SAMPAN_CGROUP_MANAGER_CGROUPFS 0
#define SAMPAN_CGROUP_MANAGER_SYSTEMD 1
#define SAMPAN_RUNG_ROOT 0
#define SAMPAN_RUNG_SUB_IDS 1
#define SAMPAN_RUNG_SINGLE_ID 2
#define SAMPAN_RUNG_CHROOT 3
#define SAMPAN_MOUNT_KIND_BIND 0
#define SAMPAN_MOUNT_KIND_TMPFS 1
#define SAMPAN_MOUNT_KIND_VOLUME 2
#define SAMPAN_TIE_DETACHED 0
#define SAMPAN_TIE_HOST 1
#define SAMPAN_PULL_POLICY_MISSING 0
#define SAMPAN_PULL_POLICY_ALWAYS 1
#define SAMPAN_PULL_POLICY_NEVER 2
#define SAMPAN_STATUS_CREATED 0
#define SAMPAN_STATUS_RUNNING 1
#define SAMPAN_STATUS_PAUSED 2
#define SAMPAN_STATUS_EXITED 3
#define SAMPAN_STATUS_DEAD 4
#define SAMPAN_STATUS_RESTARTING 5
#define SAMPAN_STREAM_STDOUT 0
#define SAMPAN_STREAM_STDERR 1
#define SAMPAN_HEALTH_STATUS_STARTING 0
#define SAMPAN_HEALTH_STATUS_HEALTHY 1
#define SAMPAN_HEALTH_STATUS_UNHEALTHY 2
#define SAMPAN_CHECK_STATUS_OK 0
#define SAMPAN_CHECK_STATUS_WARN 1
#define SAMPAN_CHECK_STATUS_FAIL 2
#define SAMPAN_EVENT_RESOLVED 0
#define SAMPAN_EVENT_LAYER_STARTED 1
#define SAMPAN_EVENT_LAYER_BYTES 2
#define SAMPAN_EVENT_LAYER_SKIPPED 3
#define SAMPAN_EVENT_LAYER_DONE 4
#define SAMPAN_EVENT_DONE 5
#define SAMPAN_EVENT_LAYER_DAMAGED 6
#ifdef __cplusplus
extern "C" {
#endif
int32_t sampan_attachment_take_stdin(const struct sampan_attachment *attachment);
int32_t sampan_attachment_take_stdout(const struct sampan_attachment *attachment);
int32_t sampan_attachment_take_stderr(const struct sampan_attachment *attachment);
int32_t sampan_attachment_wait(const struct sampan_attachment *attachment,
                               const struct sampan_cancel *cancel,
                               struct sampan_exit_status **out,
                               struct sampan_error **err);
int32_t sampan_attachment_resize(const struct sampan_attachment *attachment,
                                 uint32_t rows,
                                 uint32_t columns,
                                 struct sampan_error **err);
void sampan_attachment_free(struct sampan_attachment *attachment);
int32_t sampan_cancel_new(struct sampan_cancel **out, struct sampan_error **err);
int32_t sampan_cancel_cancel(const struct sampan_cancel *cancel, struct sampan_error **err);
bool sampan_cancel_is_cancelled(const struct sampan_cancel *cancel);
void sampan_cancel_free(struct sampan_cancel *cancel);
const char *sampan_container_id(const struct sampan_container *container);
int32_t sampan_container_start(const struct sampan_container *container,
                               const struct sampan_stdio *stdio,
                               const struct sampan_cancel *cancel,
                               struct sampan_error **err);
int32_t sampan_container_stop(const struct sampan_container *container,
                              const struct sampan_stop_options *options,
                              const struct sampan_cancel *cancel,
                              struct sampan_error **err);
int32_t sampan_container_restart(const struct sampan_container *container,
                                 const struct sampan_stop_options *options,
                                 const struct sampan_cancel *cancel,
                                 struct sampan_error **err);
int32_t sampan_container_kill(const struct sampan_container *container, const char *signal, struct sampan_error **err);
int32_t sampan_container_wait(const struct sampan_container *container,
                              double timeout,
                              const struct sampan_cancel *cancel,
                              struct sampan_exit_status **out,
                              struct sampan_error **err);
int32_t sampan_container_wait_healthy(const struct sampan_container *container,
                                      double timeout,
                                      const struct sampan_cancel *cancel,
                                      struct sampan_error **err);
int32_t sampan_container_logs(const struct sampan_container *container,
                              const struct sampan_log_options *options,
                              struct sampan_log **out,
                              struct sampan_error **err);
int32_t sampan_container_inspect(const struct sampan_container *container,
                                 struct sampan_container_info **out,
                                 struct sampan_error **err);
int32_t sampan_container_rename(const struct sampan_container *container, const char *name, struct sampan_error **err);
int32_t sampan_container_remove(const struct sampan_container *container,
                                const struct sampan_remove_options *options,
                                struct sampan_error **err);
int32_t sampan_container_pause(const struct sampan_container *container,
                               const struct sampan_cancel *cancel,
                               struct sampan_error **err);
int32_t sampan_container_unpause(const struct sampan_container *container, struct sampan_error **err);
int32_t sampan_container_top(const struct sampan_container *container,
                             struct sampan_process_info_list **out,
                             struct sampan_error **err);
int32_t sampan_container_usage(const struct sampan_container *container,
                               struct sampan_container_stats **out,
                               struct sampan_error **err);
int32_t sampan_container_stats_stream(const struct sampan_container *container,
                                      double interval,
                                      struct sampan_stats_stream **out,
                                      struct sampan_error **err);
int32_t sampan_container_update(const struct sampan_container *container,
                                const struct sampan_update_options *options,
                                struct sampan_error **err);
int32_t sampan_container_exec(const struct sampan_container *container,
                              const struct sampan_exec_options *options,
                              const struct sampan_cancel *cancel,
                              struct sampan_exec_output **out,
                              struct sampan_error **err);
int32_t sampan_container_exec_start(const struct sampan_container *container,
                                    const struct sampan_exec_options *options,
                                    const struct sampan_cancel *cancel,
                                    struct sampan_exec **out,
                                    struct sampan_error **err);
int32_t sampan_container_attach(const struct sampan_container *container,
                                bool interactive,
                                const struct sampan_cancel *cancel,
                                struct sampan_attachment **out,
                                struct sampan_error **err);
int32_t sampan_container_resize(const struct sampan_container *container,
                                uint32_t rows,
                                uint32_t columns,
                                struct sampan_error **err);
void sampan_container_free(struct sampan_container *container);
int32_t sampan_container_copy_from(const struct sampan_container *container,
                                   const char *path,
                                   const char *dest,
                                   const struct sampan_copy_options *options,
                                   const struct sampan_cancel *cancel,
                                   struct sampan_error **err);
int32_t sampan_container_copy_to(const struct sampan_container *container,
                                 const char *src,
                                 const char *path,
                                 const struct sampan_copy_options *options,
                                 const struct sampan_cancel *cancel,
                                 struct sampan_error **err);
int32_t sampan_container_path_stat(const struct sampan_container *container,
                                   const char *path,
                                   const struct sampan_copy_options *options,
                                   const struct sampan_cancel *cancel,
                                   struct sampan_path_stat **out,
                                   struct sampan_error **err);
int32_t sampan_container_get_archive(const struct sampan_container *container,
                                     const char *path,
                                     int32_t fd,
                                     const struct sampan_copy_options *options,
                                     const struct sampan_cancel *cancel,
                                     struct sampan_error **err);
int32_t sampan_container_put_archive(const struct sampan_container *container,
                                     const char *path,
                                     int32_t fd,
                                     const struct sampan_cancel *cancel,
                                     struct sampan_error **err);
int32_t sampan_container_open(const struct sampan_container *container,
                              const char *path,
                              const char *mode,
                              const struct sampan_cancel *cancel,
                              int32_t *out,
                              struct sampan_error **err);
int32_t sampan_engine_open(const struct sampan_engine_options *options,
                           struct sampan_engine **out,
                           struct sampan_error **err);
void sampan_engine_free(struct sampan_engine *engine);
int32_t sampan_engine_inspect(const struct sampan_engine *engine,
                              struct sampan_engine_info **out,
                              struct sampan_error **err);
int32_t sampan_engine_doctor(const struct sampan_engine *engine,
                             struct sampan_doctor_report **out,
                             struct sampan_error **err);
int32_t sampan_engine_pull(const struct sampan_engine *engine,
                           const char *reference,
                           const struct sampan_pull_options *options,
                           const struct sampan_progress *progress,
                           const struct sampan_cancel *cancel,
                           struct sampan_image_info **out,
                           struct sampan_error **err);
int32_t sampan_engine_images(const struct sampan_engine *engine,
                             struct sampan_image_info_list **out,
                             struct sampan_error **err);
int32_t sampan_engine_inspect_image(const struct sampan_engine *engine,
                                    const char *image,
                                    struct sampan_image_info **out,
                                    struct sampan_error **err);
int32_t sampan_engine_tag(const struct sampan_engine *engine,
                          const char *image,
                          const char *reference,
                          struct sampan_error **err);
int32_t sampan_engine_remove_image(const struct sampan_engine *engine,
                                   const char *image,
                                   const struct sampan_remove_image_options *options,
                                   struct sampan_removed_image_list **out,
                                   struct sampan_error **err);
int32_t sampan_engine_gc(const struct sampan_engine *engine,
                         struct sampan_prune_report **out,
                         struct sampan_error **err);
int32_t sampan_engine_events(const struct sampan_engine *engine,
                             const struct sampan_event_options *options,
                             struct sampan_event_stream **out,
                             struct sampan_error **err);
int32_t sampan_engine_create(const struct sampan_engine *engine,
                             const struct sampan_run_options *options,
                             const struct sampan_progress *progress,
                             const struct sampan_cancel *cancel,
                             struct sampan_container **out,
                             struct sampan_error **err);
int32_t sampan_engine_spawn(const struct sampan_engine *engine,
                            const struct sampan_run_options *options,
                            const struct sampan_stdio *stdio,
                            const struct sampan_progress *progress,
                            const struct sampan_cancel *cancel,
                            struct sampan_container **out,
                            struct sampan_error **err);
int32_t sampan_engine_run(const struct sampan_engine *engine,
                          const struct sampan_run_options *options,
                          const struct sampan_progress *progress,
                          const struct sampan_cancel *cancel,
                          struct sampan_output **out,
                          struct sampan_error **err);
int32_t sampan_engine_plan(const struct sampan_engine *engine,
                           const struct sampan_run_options *options,
                           char **out,
                           struct sampan_error **err);
int32_t sampan_engine_containers(const struct sampan_engine *engine,
                                 const struct sampan_list_options *options,
                                 struct sampan_container_info_list **out,
                                 struct sampan_error **err);
int32_t sampan_engine_container(const struct sampan_engine *engine,
                                const char *container,
                                struct sampan_container **out,
                                struct sampan_error **err);
int32_t sampan_error_code(const struct sampan_error *error);
const char *sampan_error_kind(const struct sampan_error *error);
int32_t sampan_error_errno(const struct sampan_error *error);
const char *sampan_error_operation(const struct sampan_error *error);
const char *sampan_error_subject(const struct sampan_error *error);
const char *sampan_error_message(const struct sampan_error *error);
const char *sampan_error_hint(const struct sampan_error *error);
const char *const *sampan_error_leftovers(const struct sampan_error *error);
bool sampan_error_retryable(const struct sampan_error *error);
int32_t sampan_error_exit_code(const struct sampan_error *error);
void sampan_error_free(struct sampan_error *error);
int32_t sampan_event_stream_next(struct sampan_event_stream *stream,
                                 const struct sampan_cancel *cancel,
                                 struct sampan_engine_event **out,
                                 struct sampan_error **err);
void sampan_event_stream_free(struct sampan_event_stream *stream);
int32_t sampan_exec_pid(const struct sampan_exec *exec);
int32_t sampan_exec_take_stdin(const struct sampan_exec *exec);
int32_t sampan_exec_take_stdout(const struct sampan_exec *exec);
int32_t sampan_exec_take_stderr(const struct sampan_exec *exec);
int32_t sampan_exec_wait(const struct sampan_exec *exec,
                         const struct sampan_cancel *cancel,
                         struct sampan_exit_status **out,
                         struct sampan_error **err);
int32_t sampan_exec_kill(const struct sampan_exec *exec, const char *signal, struct sampan_error **err);
int32_t sampan_exec_resize(const struct sampan_exec *exec, uint32_t rows, uint32_t columns, struct sampan_error **err);
int32_t sampan_exec_discard_stdout(const struct sampan_exec *exec, struct sampan_error **err);
int32_t sampan_exec_discard_stderr(const struct sampan_exec *exec, struct sampan_error **err);
void sampan_exec_free(struct sampan_exec *exec);
void sampan_container_info_free(struct sampan_container_info *container_info);
void sampan_container_stats_free(struct sampan_container_stats *container_stats);
void sampan_doctor_report_free(struct sampan_doctor_report *doctor_report);
void sampan_engine_event_free(struct sampan_engine_event *engine_event);
void sampan_engine_info_free(struct sampan_engine_info *engine_info);
void sampan_exec_output_free(struct sampan_exec_output *exec_output);
void sampan_exit_status_free(struct sampan_exit_status *exit_status);
void sampan_image_info_free(struct sampan_image_info *image_info);
void sampan_log_entry_free(struct sampan_log_entry *log_entry);
void sampan_output_free(struct sampan_output *output);
void sampan_path_stat_free(struct sampan_path_stat *path_stat);
void sampan_prune_report_free(struct sampan_prune_report *prune_report);
void sampan_container_info_list_free(struct sampan_container_info_list *container_info_list);
void sampan_image_info_list_free(struct sampan_image_info_list *image_info_list);
void sampan_log_entry_list_free(struct sampan_log_entry_list *log_entry_list);
void sampan_process_info_list_free(struct sampan_process_info_list *process_info_list);
void sampan_removed_image_list_free(struct sampan_removed_image_list *removed_image_list);
int32_t sampan_log_next(struct sampan_log *log,
                        const struct sampan_cancel *cancel,
                        struct sampan_log_entry **out,
                        struct sampan_error **err);
int32_t sampan_log_next_batch(struct sampan_log *log,
                              size_t most,
                              const struct sampan_cancel *cancel,
                              struct sampan_log_entry_list **out,
                              struct sampan_error **err);
void sampan_log_free(struct sampan_log *log);
int32_t sampan_stats_stream_next(struct sampan_stats_stream *stream,
                                 const struct sampan_cancel *cancel,
                                 struct sampan_container_stats **out,
                                 struct sampan_error **err);
void sampan_stats_stream_free(struct sampan_stats_stream *stream);
uint32_t sampan_abi_version(void);
const char *sampan_version(void);
void sampan_string_free(char *string);
#ifdef __cplusplus
}
#endif
#endif
#define SAMPAN_ENGINE_OPTIONS_INIT \
    { sizeof(sampan_engine_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL }
#define SAMPAN_PULL_OPTIONS_INIT \
    { sizeof(sampan_pull_options), NULL, NULL }
#define SAMPAN_MOUNT_INIT \
    { sizeof(sampan_mount), 0, NULL, NULL, false, NULL }
#define SAMPAN_ULIMIT_INIT \
    { sizeof(sampan_ulimit), NULL, 0, 0 }
#define SAMPAN_DEVICE_WEIGHT_INIT \
    { sizeof(sampan_device_weight), NULL, 0 }
#define SAMPAN_DEVICE_RATE_INIT \
    { sizeof(sampan_device_rate), NULL, 0 }
#define SAMPAN_RUN_OPTIONS_INIT \
    { sizeof(sampan_run_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
      NULL, NULL, NULL, false, NULL, NULL, NULL, false, false, NULL, NULL, NULL, NULL, NULL, false, false, \
      NULL, 0, NULL, NULL, false, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, \
      NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
      NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL }
#define SAMPAN_EXEC_OPTIONS_INIT \
    { sizeof(sampan_exec_options), NULL, NULL, NULL, NULL, false, false, NULL, NULL, false, NULL, 0, false, NULL }
#define SAMPAN_UPDATE_OPTIONS_INIT \
    { sizeof(sampan_update_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }
#define SAMPAN_LIST_OPTIONS_INIT \
    { sizeof(sampan_list_options), false, NULL }
#define SAMPAN_STOP_OPTIONS_INIT \
    { sizeof(sampan_stop_options), NULL, NULL }
#define SAMPAN_REMOVE_OPTIONS_INIT \
    { sizeof(sampan_remove_options), false, false }
#define SAMPAN_REMOVE_IMAGE_OPTIONS_INIT \
    { sizeof(sampan_remove_image_options), false }
#define SAMPAN_LOG_OPTIONS_INIT \
    { sizeof(sampan_log_options), false, NULL, NULL, NULL, false, false, false }
#define SAMPAN_EVENT_OPTIONS_INIT \
    { sizeof(sampan_event_options), NULL, NULL, NULL }
#define SAMPAN_COPY_OPTIONS_INIT \
    { sizeof(sampan_copy_options), false, false }
#define SAMPAN_STDIO_INIT \
    { sizeof(sampan_stdio), NULL, NULL, NULL }
#define SAMPAN_PROGRESS_INIT \
    { sizeof(sampan_progress), NULL, NULL, NULL }
