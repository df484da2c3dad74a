/*
 * Migration settings: one row a capability and a parameter.
 *
 * MigSettings is what the monitors set and query (machine lock).  A migration works
 * on a MigConfig, a frozen copy made when it starts; the few parameters that take
 * effect on a running migration are also read through mig_live().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CONFIG_H
#define FERRY_MIGRATION_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qapi/qapi-types.h" /* MigMode */
#include "util/error.h"

/* X(id, QMP name, supported, -global name or NULL), in the order of the QMP enum. */
#define MIG_CAPS(X)                                                               \
    X(XBZRLE, "xbzrle", true, "x-xbzrle")                                        \
    X(RDMA_PIN_ALL, "rdma-pin-all", false, "x-rdma-pin-all")                      \
    X(AUTO_CONVERGE, "auto-converge", true,  "x-auto-converge")                   \
    X(EVENTS, "events", true, "x-events")                                         \
    X(POSTCOPY_RAM, "postcopy-ram", true, "x-postcopy-ram")                       \
    X(X_COLO, "x-colo", false, "x-colo")                                          \
    X(RELEASE_RAM, "release-ram", false, "x-release-ram")                         \
    X(RETURN_PATH, "return-path", true, "x-return-path")                          \
    X(PAUSE_BEFORE_SWITCHOVER, "pause-before-switchover", true, NULL)             \
    X(MULTIFD, "multifd", true, "x-multifd")                                     \
    X(DIRTY_BITMAPS, "dirty-bitmaps", false, NULL)                                \
    X(POSTCOPY_BLOCKTIME, "postcopy-blocktime", true, "postcopy-blocktime")       \
    X(LATE_BLOCK_ACTIVATE, "late-block-activate", true, NULL)                     \
    X(X_IGNORE_SHARED, "x-ignore-shared", true, "x-ignore-shared")                \
    X(VALIDATE_UUID, "validate-uuid", true, NULL)                                 \
    X(BACKGROUND_SNAPSHOT, "background-snapshot", true,  "x-background-snapshot") \
    X(ZERO_COPY_SEND, "zero-copy-send", false, "x-zero-copy-send")                \
    X(POSTCOPY_PREEMPT, "postcopy-preempt", true, "x-postcopy-preempt")          \
    X(SWITCHOVER_ACK, "switchover-ack", true,  "x-switchover-ack")                \
    X(DIRTY_LIMIT, "dirty-limit", true,  "x-dirty-limit")                         \
    X(MAPPED_RAM, "mapped-ram", true, "mapped-ram")                              \
    X(X_VERIFY, "x-verify", true, "x-verify")

typedef enum MigCap {
#define X(id, name, supported, global) MIG_CAP_##id,
    MIG_CAPS(X)
#undef X
    MIG_CAP__MAX,
} MigCap;

#define MIG_COMPRESSIONS(X) X(NONE, "none") X(ZLIB, "zlib") X(ZSTD, "zstd") \
    X(QATZIP, "qatzip") X(QPL, "qpl") X(UADK, "uadk")
typedef enum MigCompression {
#define X(id, name) MIG_COMPRESSION_##id,
    MIG_COMPRESSIONS(X)
#undef X
} MigCompression;

#define MIG_ZERO_DETECTIONS(X) X(NONE, "none") X(LEGACY, "legacy") X(MULTIFD, "multifd")
typedef enum MigZeroDetection {
#define X(id, name) MIG_ZERO_DETECTION_##id,
    MIG_ZERO_DETECTIONS(X)
#undef X
} MigZeroDetection;

typedef enum MigParamType {
    MIG_PARAM_T_SIZE,   /* bytes (or ms for the announce ones); HMP takes suffixes */
    MIG_PARAM_T_U64,
    MIG_PARAM_T_U32,
    MIG_PARAM_T_U8,
    MIG_PARAM_T_BOOL,
    MIG_PARAM_T_COMPRESSION,
    MIG_PARAM_T_ZERO_DETECTION,
    MIG_PARAM_T_MODE,
    MIG_PARAM_T_STR,     /* null and "" unset it */
    MIG_PARAM_T_STRLIST,
} MigParamType;

/*
 * X(id, field, QMP name, type, unit shown by HMP, lowest, highest, default, live,
 *   -global name or NULL), in the order of HMP `info migrate_parameters`.
 * All of them are uint64_t in MigConfig (bool 0/1, enum value).
 */
#define MIG_NUM_PARAMS(X)                                                                        \
    X(ANNOUNCE_INITIAL, announce_initial, "announce-initial", SIZE, " ms", 0, 100000, 50, true,  \
      "announce-initial")                                                                        \
    X(ANNOUNCE_MAX, announce_max, "announce-max", SIZE, " ms", 0, 100000, 550, true,             \
      "announce-max")                                                                            \
    X(ANNOUNCE_ROUNDS, announce_rounds, "announce-rounds", SIZE, "", 0, 1000, 5, true,           \
      "announce-rounds")                                                                         \
    X(ANNOUNCE_STEP, announce_step, "announce-step", SIZE, " ms", 1, 10000, 100, true,           \
      "announce-step")                                                                           \
    X(THROTTLE_TRIGGER_THRESHOLD, throttle_trigger_threshold, "throttle-trigger-threshold", U8,  \
      "", 1, 100, 50, true, "x-throttle-trigger-threshold")                                      \
    X(CPU_THROTTLE_INITIAL, cpu_throttle_initial, "cpu-throttle-initial", U8, "", 1, 99, 20,     \
      true, "x-cpu-throttle-initial")                                                            \
    X(CPU_THROTTLE_INCREMENT, cpu_throttle_increment, "cpu-throttle-increment", U8, "", 1, 99,   \
      10, true, "x-cpu-throttle-increment")                                                      \
    X(CPU_THROTTLE_TAILSLOW, cpu_throttle_tailslow, "cpu-throttle-tailslow", BOOL, "", 0, 1, 0,  \
      true, "x-cpu-throttle-tailslow")                                                           \
    X(MAX_CPU_THROTTLE, max_cpu_throttle, "max-cpu-throttle", U8, "", 1, 99, 99, true,           \
      "x-max-cpu-throttle")                                                                      \
    X(MAX_BANDWIDTH, max_bandwidth, "max-bandwidth", SIZE, " bytes/second", 0, INT64_MAX,        \
      134217728, true, "x-max-bandwidth")                                                        \
    X(AVAIL_SWITCHOVER_BANDWIDTH, avail_switchover_bandwidth, "avail-switchover-bandwidth",      \
      SIZE, " bytes/second", 0, INT64_MAX, 0, true, "avail-switchover-bandwidth")                \
    X(MAX_POSTCOPY_BANDWIDTH, max_postcopy_bandwidth, "max-postcopy-bandwidth", SIZE,            \
      " bytes/second", 0, INT64_MAX, 0, true, "max-postcopy-bandwidth")                          \
    X(DOWNTIME_LIMIT, downtime_limit, "downtime-limit", U64, " ms", 0, 2000000, 300, true,       \
      "x-downtime-limit")                                                                        \
    X(X_CHECKPOINT_DELAY, x_checkpoint_delay, "x-checkpoint-delay", U32, " ms", 0, UINT32_MAX,   \
      20000, false, "x-checkpoint-delay")                                                        \
    X(MULTIFD_CHANNELS, multifd_channels, "multifd-channels", U8, "", 1, 255, 2, false,          \
      "multifd-channels")                                                                        \
    X(MULTIFD_COMPRESSION, multifd_compression, "multifd-compression", COMPRESSION, "", 0, 5,    \
      MIG_COMPRESSION_NONE, false, "multifd-compression")                                        \
    X(MULTIFD_ZLIB_LEVEL, multifd_zlib_level, "multifd-zlib-level", U8, "", 0, 9, 1, false,      \
      "multifd-zlib-level")                                                                      \
    X(MULTIFD_ZSTD_LEVEL, multifd_zstd_level, "multifd-zstd-level", U8, "", 0, 20, 1, false,     \
      "multifd-zstd-level")                                                                      \
    X(MULTIFD_QATZIP_LEVEL, multifd_qatzip_level, "multifd-qatzip-level", U8, "", 1, 9, 1,       \
      false, "multifd-qatzip-level")                                                             \
    X(ZERO_PAGE_DETECTION, zero_page_detection, "zero-page-detection", ZERO_DETECTION, "", 0, 2, \
      MIG_ZERO_DETECTION_MULTIFD, false, "zero-page-detection")                                  \
    X(XBZRLE_CACHE_SIZE, xbzrle_cache_size, "xbzrle-cache-size", SIZE, " bytes", 4096,           \
      INT64_MAX, 67108864, true, "xbzrle-cache-size")                                            \
    X(X_VCPU_DIRTY_LIMIT_PERIOD, x_vcpu_dirty_limit_period, "x-vcpu-dirty-limit-period", U64,    \
      " ms", 1, 1000, 1000, true, "x-vcpu-dirty-limit-period")                                   \
    X(VCPU_DIRTY_LIMIT, vcpu_dirty_limit, "vcpu-dirty-limit", U64, " MB/s", 1, INT64_MAX, 1,     \
      true, "vcpu-dirty-limit")                                                                  \
    X(MODE, mode, "mode", MODE, "", 0, 3, MIG_MODE_NORMAL, false, "mode")                        \
    X(DIRECT_IO, direct_io, "direct-io", BOOL, "", 0, 1, 0, false, "direct-io")                  \
    X(X_RDMA_CHUNK_SIZE, x_rdma_chunk_size, "x-rdma-chunk-size", SIZE, " bytes", 1048576,        \
      1073741824, 1048576, false, "x-rdma-chunk-size")                                          \
    X(X_PEER_TIMEOUT, x_peer_timeout, "x-peer-timeout", U64, " ms", 0, 86400000, 60000, true,    \
      "x-peer-timeout")

/* X(id, field, QMP name, type, -global name or NULL); shown by HMP behind max-cpu-throttle */
#define MIG_STR_PARAMS(X)                                        \
    X(TLS_CREDS, tls_creds, "tls-creds", STR, "tls-creds")       \
    X(TLS_HOSTNAME, tls_hostname, "tls-hostname", STR, "tls-hostname") \
    X(TLS_AUTHZ, tls_authz, "tls-authz", STR, "tls-authz")

typedef enum MigParam {
#define X(id, ...) MIG_PARAM_##id,
    MIG_NUM_PARAMS(X)
    MIG_PARAM__NUM_MAX,
    MIG_PARAM__STR_FIRST = MIG_PARAM__NUM_MAX - 1,
    MIG_STR_PARAMS(X)
#undef X
    MIG_PARAM_CPR_EXEC_COMMAND,
    MIG_PARAM__MAX,
} MigParam;

/* Neither on nor off: found out. */
#define MIG_AUTO 2

/* X(field, -global name, default): only -global sets these. */
#define MIG_PROPS(X)                                                              \
    X(store_global_state, "store-global-state", 1)                                \
    X(send_configuration, "send-configuration", 1)                                \
    X(send_section_footer, "send-section-footer", 1)                              \
    X(send_switchover_start, "send-switchover-start", 0)                          \
    X(multifd_flush_after_each_section, "multifd-flush-after-each-section", MIG_AUTO) \
    X(clear_bitmap_shift, "x-clear-bitmap-shift", 18)                             \
    X(preempt_pre_7_2, "x-preempt-pre-7-2", 0)                                    \
    X(multifd_clean_tls_termination, "multifd-clean-tls-termination", 1)          \
    X(switchover_ack_legacy, "switchover-ack-legacy", 0)

/* Everything a migration was started with.  Const after mig_config_freeze(). */
typedef struct MigConfig {
    bool cap[MIG_CAP__MAX];
#define X(id, field, ...) uint64_t field;
    MIG_NUM_PARAMS(X)
#undef X
#define X(id, field, ...) char *field; /* never NULL; "" is unset */
    MIG_STR_PARAMS(X)
#undef X
    char **cpr_exec_command; /* NULL-terminated, never NULL */
#define X(field, ...) uint64_t field;
    MIG_PROPS(X)
#undef X
} MigConfig;

/* What the monitors see.  Machine lock, except mig_live() and mig_settings_cap(). */
typedef struct MigSettings MigSettings;
MigSettings *mig_settings(void);             /* the one of the process */
MigSettings *mig_settings_new(void);         /* all defaults: tests */
void mig_settings_free(MigSettings *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigSettings, mig_settings_free)

/* Number parameter of a configuration. */
uint64_t mig_config_num(const MigConfig *c, MigParam param);
const char *mig_config_str(const MigConfig *c, MigParam param);

/* Read-only view of the present values; any change may follow. */
const MigConfig *mig_settings_get(const MigSettings *s);
/* One capability of mig_settings(), from any thread. */
bool mig_settings_cap(MigCap cap);
/*
 * Present value of a number parameter of mig_settings(), from any thread: for those
 * whose row says `live`.  For once a rate window, not once a page.
 */
uint64_t mig_live(MigParam param);

/* A const copy for a migration that starts; free with mig_config_free(). */
const MigConfig *mig_config_freeze(const MigSettings *s);
void mig_config_free(const MigConfig *c);

typedef struct MigCapChange {
    MigCap cap;
    bool on;
} MigCapChange;
/*
 * All or nothing: the result of all changes together is checked first.  `running`: a
 * migration is under way (refused).
 */
bool mig_settings_set_caps(MigSettings *s, const MigCapChange *changes, size_t n, bool running,
                           Error **errp);
/*
 * Asked when the capability goes on: can it work here?  Set once for each, by the engine.
 */
void mig_settings_set_cap_check(MigSettings *s, MigCap cap, bool (*check)(Error **errp));
/*
 * Is a migration under way, so that settings are frozen?  Asked by the monitor commands; set
 * once, by the engine.
 */
void mig_settings_set_in_progress(MigSettings *s, bool (*in_progress)(void));
bool mig_settings_in_progress(const MigSettings *s);

typedef struct MigParamChange {
    MigParam param;
    uint64_t num;               /* number parameters */
    const char *str;            /* strings; NULL unsets */
    const char *const *strv;    /* cpr-exec-command, NULL-terminated */
} MigParamChange;
/* All or nothing.  While running only rows with `live` may change. */
bool mig_settings_set_params(MigSettings *s, const MigParamChange *changes, size_t n,
                             bool running, Error **errp);

const char *mig_cap_name(MigCap cap);
bool mig_cap_from_name(const char *name, MigCap *ret_cap);
bool mig_cap_supported(MigCap cap);
const char *mig_param_name(MigParam param);
MigParamType mig_param_type(MigParam param);
const char *mig_param_unit(MigParam param); /* " ms", "" */
bool mig_param_from_name(const char *name, MigParam *ret_param);
/* Value of a parameter from text: HMP (bandwidths without a suffix are MiB) and -global. */
bool mig_param_parse(MigParam param, const char *text, bool hmp, MigParamChange *ret_change,
                     Error **errp);
/* "none", "zlib", ...: name of the value of an enum parameter; NULL for others. */
const char *mig_param_enum_name(MigParam param, uint64_t value);
/* -global migration.PROP=VALUE. */
bool mig_settings_set_global(MigSettings *s, const char *prop, const char *value, Error **errp);

#endif
