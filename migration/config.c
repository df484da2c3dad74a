/*
 * Migration settings: the tables, setting with all checks, freezing.
 *
 * Belongs to the main thread (machine lock); single values may be read by any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/config.h"

#include <inttypes.h>
#include <string.h>

#include "trace/migration.h"
#include "util/util.h"

/* One row a capability. */
typedef struct CapRow {
    const char *name;
    bool supported;
    const char *global;
} CapRow;

static const CapRow cap_rows[MIG_CAP__MAX] = {
#define X(id, name_, supported_, global_) [MIG_CAP_##id] = { name_, supported_, global_ },
    MIG_CAPS(X)
#undef X
};

/* Capabilities that cannot be on together. */
static const struct {
    MigCap a, b;
    const char *why;
} cap_conflicts[] = {
    { MIG_CAP_XBZRLE, MIG_CAP_MULTIFD, "multifd sends whole pages" },
    { MIG_CAP_POSTCOPY_RAM, MIG_CAP_X_IGNORE_SHARED,
      "a page that is skipped could not be requested" },
    { MIG_CAP_MAPPED_RAM, MIG_CAP_XBZRLE, "a page has a place of its own size" },
    { MIG_CAP_MAPPED_RAM, MIG_CAP_POSTCOPY_RAM, "nobody at a file asks for pages" },
    { MIG_CAP_X_VERIFY, MIG_CAP_MAPPED_RAM, "nobody at a file compares digests" },
    { MIG_CAP_DIRTY_LIMIT, MIG_CAP_AUTO_CONVERGE,
      "each of them slows the guest down in its own way" },
};

/* A snapshot has no other side and no second pass: these have no meaning in it. */
static const MigCap not_in_snapshot[] = {
    MIG_CAP_XBZRLE, MIG_CAP_RDMA_PIN_ALL, MIG_CAP_AUTO_CONVERGE, MIG_CAP_POSTCOPY_RAM,
    MIG_CAP_X_COLO, MIG_CAP_RELEASE_RAM, MIG_CAP_RETURN_PATH, MIG_CAP_PAUSE_BEFORE_SWITCHOVER,
    MIG_CAP_MULTIFD, MIG_CAP_DIRTY_BITMAPS, MIG_CAP_POSTCOPY_BLOCKTIME,
    MIG_CAP_LATE_BLOCK_ACTIVATE, MIG_CAP_VALIDATE_UUID, MIG_CAP_ZERO_COPY_SEND,
    MIG_CAP_DIRTY_LIMIT, MIG_CAP_MAPPED_RAM, MIG_CAP_X_VERIFY,
};

/* Capabilities that need another one. */
static const struct {
    MigCap cap, needs;
} cap_needs[] = {
    { MIG_CAP_SWITCHOVER_ACK, MIG_CAP_RETURN_PATH },
    { MIG_CAP_POSTCOPY_PREEMPT, MIG_CAP_POSTCOPY_RAM },
};

/* One row a parameter. */
typedef struct ParamRow {
    const char *name;
    MigParamType type;
    const char *unit;
    uint64_t min, max, def;
    bool live;
    const char *global;
    size_t offset; /* in MigConfig */
} ParamRow;

static const ParamRow param_rows[MIG_PARAM__MAX] = {
#define X(id, field, name_, type_, unit_, min_, max_, def_, live_, global_)                \
    [MIG_PARAM_##id] = { name_, MIG_PARAM_T_##type_, unit_, min_, max_, def_, live_,       \
                         global_, offsetof(MigConfig, field) },
    MIG_NUM_PARAMS(X)
#undef X
#define X(id, field, name_, type_, global_)                                                \
    [MIG_PARAM_##id] = { .name = name_, .type = MIG_PARAM_T_##type_, .unit = "",           \
                         .global = global_, .offset = offsetof(MigConfig, field) },
    MIG_STR_PARAMS(X)
#undef X
    [MIG_PARAM_CPR_EXEC_COMMAND] = { .name = "cpr-exec-command", .type = MIG_PARAM_T_STRLIST,
                                     .unit = "",
                                     .offset = offsetof(MigConfig, cpr_exec_command) },
};

#define X(id, name) name,
static const char *const compression_names[] = { MIG_COMPRESSIONS(X) NULL };
static const char *const zero_detection_names[] = { MIG_ZERO_DETECTIONS(X) NULL };
#undef X

static const struct {
    const char *name;
    size_t offset;
    uint64_t def;
} prop_rows[] = {
#define X(field, name_, def_) { name_, offsetof(MigConfig, field), def_ },
    MIG_PROPS(X)
#undef X
};

struct MigSettings {
    MigConfig c; /* machine lock; single numbers and capabilities are stored atomically */
    bool (*cap_check[MIG_CAP__MAX])(Error **errp); /* fixed once set, like in_progress */
    bool (*in_progress)(void);
};

static uint64_t *num_at(const MigConfig *c, size_t offset)
{
    return (uint64_t *)((char *)c + offset);
}

static char **str_at(const MigConfig *c, MigParam p)
{
    return (char **)((char *)c + param_rows[p].offset);
}

/* The one of the process: made at the first use, in the main thread. */
MigSettings *mig_settings(void)
{
    static MigSettings *settings;

    if (g_once_init_enter(&settings)) {
        g_once_init_leave(&settings, mig_settings_new());
    }
    return settings;
}

MigSettings *mig_settings_new(void)
{
    MigSettings *s = g_new0(MigSettings, 1);

    for (int i = 0; i < MIG_PARAM__NUM_MAX; i++) {
        *num_at(&s->c, param_rows[i].offset) = param_rows[i].def;
    }
    for (int i = MIG_PARAM__NUM_MAX; i < MIG_PARAM_CPR_EXEC_COMMAND; i++) {
        *str_at(&s->c, i) = g_strdup("");
    }
    s->c.cpr_exec_command = g_new0(char *, 1);
    for (size_t i = 0; i < ARRAY_SIZE(prop_rows); i++) {
        *num_at(&s->c, prop_rows[i].offset) = prop_rows[i].def;
    }
    return s;
}

static void config_clear(MigConfig *c)
{
    for (int i = MIG_PARAM__NUM_MAX; i < MIG_PARAM_CPR_EXEC_COMMAND; i++) {
        g_free(*str_at(c, i));
    }
    g_strfreev(c->cpr_exec_command);
}

static void config_copy(MigConfig *to, const MigConfig *from)
{
    *to = *from;
    for (int i = MIG_PARAM__NUM_MAX; i < MIG_PARAM_CPR_EXEC_COMMAND; i++) {
        *str_at(to, i) = g_strdup(*str_at(from, i));
    }
    to->cpr_exec_command = g_strdupv(from->cpr_exec_command);
}

void mig_settings_free(MigSettings *s)
{
    if (s) {
        config_clear(&s->c);
        g_free(s);
    }
}

const MigConfig *mig_settings_get(const MigSettings *s)
{
    return &s->c;
}

bool mig_settings_cap(MigCap cap)
{
    return __atomic_load_n(&mig_settings()->c.cap[cap], __ATOMIC_RELAXED);
}

uint64_t mig_live(MigParam param)
{
    g_assert(param < MIG_PARAM__NUM_MAX && param_rows[param].live);
    return __atomic_load_n(num_at(&mig_settings()->c, param_rows[param].offset),
                           __ATOMIC_RELAXED);
}

const MigConfig *mig_config_freeze(const MigSettings *s)
{
    MigConfig *c = g_new0(MigConfig, 1);

    config_copy(c, &s->c);
    return c;
}

void mig_config_free(const MigConfig *c)
{
    if (c) {
        config_clear((MigConfig *)c);
        g_free((MigConfig *)c);
    }
}

uint64_t mig_config_num(const MigConfig *c, MigParam param)
{
    g_assert(param < MIG_PARAM__NUM_MAX);
    return *num_at(c, param_rows[param].offset);
}

const char *mig_config_str(const MigConfig *c, MigParam param)
{
    g_assert(param >= MIG_PARAM__NUM_MAX && param < MIG_PARAM_CPR_EXEC_COMMAND);
    return *str_at(c, param);
}

/* Capabilities. */

const char *mig_cap_name(MigCap cap)
{
    g_assert(cap < MIG_CAP__MAX);
    return cap_rows[cap].name;
}

bool mig_cap_from_name(const char *name, MigCap *ret_cap)
{
    for (int i = 0; i < MIG_CAP__MAX; i++) {
        if (!strcmp(cap_rows[i].name, name)) {
            *ret_cap = i;
            return true;
        }
    }
    return false;
}

bool mig_cap_supported(MigCap cap)
{
    g_assert(cap < MIG_CAP__MAX);
    return cap_rows[cap].supported;
}

void mig_settings_set_cap_check(MigSettings *s, MigCap cap, bool (*check)(Error **errp))
{
    s->cap_check[cap] = check;
}

void mig_settings_set_in_progress(MigSettings *s, bool (*in_progress)(void))
{
    s->in_progress = in_progress;
}

bool mig_settings_in_progress(const MigSettings *s)
{
    return s->in_progress && s->in_progress();
}

static bool caps_check(const MigSettings *s, const bool *caps, Error **errp)
{
    for (int i = 0; i < MIG_CAP__MAX; i++) {
        if (caps[i] && !cap_rows[i].supported) {
            error_setg(errp, "capability '%s' is not supported by this build", cap_rows[i].name);
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(cap_conflicts); i++) {
        if (caps[cap_conflicts[i].a] && caps[cap_conflicts[i].b]) {
            error_setg(errp, "capabilities '%s' and '%s' cannot be on together: %s",
                       cap_rows[cap_conflicts[i].a].name, cap_rows[cap_conflicts[i].b].name,
                       cap_conflicts[i].why);
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(not_in_snapshot); i++) {
        if (caps[MIG_CAP_BACKGROUND_SNAPSHOT] && caps[not_in_snapshot[i]]) {
            error_setg(errp, "capabilities 'background-snapshot' and '%s' cannot be on together",
                       cap_rows[not_in_snapshot[i]].name);
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(cap_needs); i++) {
        if (caps[cap_needs[i].cap] && !caps[cap_needs[i].needs]) {
            error_setg(errp, "capability '%s' needs '%s'", cap_rows[cap_needs[i].cap].name,
                       cap_rows[cap_needs[i].needs].name);
            return false;
        }
    }
    for (int i = 0; i < MIG_CAP__MAX; i++) {
        if (caps[i] && !s->c.cap[i] && s->cap_check[i] && !s->cap_check[i](errp)) {
            error_prefix(errp, "capability '%s': ", cap_rows[i].name);
            return false;
        }
    }
    return true;
}

bool mig_settings_set_caps(MigSettings *s, const MigCapChange *changes, size_t n, bool running,
                           Error **errp)
{
    bool caps[MIG_CAP__MAX];

    if (running) {
        error_setg(errp, "a migration is in progress: capabilities cannot be changed");
        return false;
    }
    memcpy(caps, s->c.cap, sizeof(caps));
    for (size_t i = 0; i < n; i++) {
        g_assert(changes[i].cap < MIG_CAP__MAX);
        caps[changes[i].cap] = changes[i].on;
    }
    if (!caps_check(s, caps, errp)) {
        return false;
    }
    for (int i = 0; i < MIG_CAP__MAX; i++) {
        if (caps[i] != s->c.cap[i]) {
            trace_migration_set_capability(cap_rows[i].name, caps[i]);
            __atomic_store_n(&s->c.cap[i], caps[i], __ATOMIC_RELAXED);
        }
    }
    return true;
}

/* Parameters. */

const char *mig_param_name(MigParam param)
{
    g_assert(param < MIG_PARAM__MAX);
    return param_rows[param].name;
}

bool mig_param_from_name(const char *name, MigParam *ret_param)
{
    for (int i = 0; i < MIG_PARAM__MAX; i++) {
        if (!strcmp(param_rows[i].name, name)) {
            *ret_param = i;
            return true;
        }
    }
    return false;
}

MigParamType mig_param_type(MigParam param)
{
    return param_rows[param].type;
}

const char *mig_param_unit(MigParam param)
{
    return param_rows[param].unit;
}

static const char *const *enum_names(MigParam param)
{
    switch (param_rows[param].type) {
    case MIG_PARAM_T_COMPRESSION:
        return compression_names;
    case MIG_PARAM_T_ZERO_DETECTION:
        return zero_detection_names;
    case MIG_PARAM_T_MODE:
        return MigMode_names;
    default:
        return NULL;
    }
}

const char *mig_param_enum_name(MigParam param, uint64_t value)
{
    const char *const *names = enum_names(param);

    return names && value <= param_rows[param].max ? names[value] : NULL;
}

static bool check_not_supported(MigParam p, bool unset, const char *value, Error **errp)
{
    if (!unset) {
        error_setg(errp, "parameter '%s': '%s' is not supported by this build",
                   param_rows[p].name, value);
    }
    return unset;
}

/* Rules for one value beyond its range. */
static bool param_value_check(const MigConfig *c, MigParam p, Error **errp)
{
    uint64_t v = p < MIG_PARAM__NUM_MAX ? mig_config_num(c, p) : 0;

    switch (p) {
    case MIG_PARAM_XBZRLE_CACHE_SIZE:
    case MIG_PARAM_X_RDMA_CHUNK_SIZE:
        if (v & (v - 1)) {
            error_setg(errp, "parameter '%s' must be a power of two, not %" PRIu64,
                       param_rows[p].name, v);
            return false;
        }
        return true;
    case MIG_PARAM_MULTIFD_COMPRESSION:
        return check_not_supported(p, v <= MIG_COMPRESSION_ZSTD, mig_param_enum_name(p, v), errp);
    default:
        return true;
    }
}

static bool params_check(const MigConfig *c, Error **errp)
{
    for (int i = 0; i < MIG_PARAM__MAX; i++) {
        const ParamRow *r = &param_rows[i];
        if (i < MIG_PARAM__NUM_MAX) {
            uint64_t v = mig_config_num(c, i);
            if (v < r->min || v > r->max) {
                error_setg(errp, "parameter '%s' must be from %" PRIu64 " to %" PRIu64
                           ", not %" PRIu64, r->name, r->min, r->max, v);
                return false;
            }
        }
        if (!param_value_check(c, i, errp)) {
            return false;
        }
    }
    if (c->max_cpu_throttle < c->cpu_throttle_initial) {
        error_setg(errp, "parameter 'max-cpu-throttle' (%" PRIu64 ") must not be below "
                   "'cpu-throttle-initial' (%" PRIu64 ")", c->max_cpu_throttle,
                   c->cpu_throttle_initial);
        return false;
    }
    return true;
}

/* Put the change into c; false when it must not change while a migration runs. */
static bool param_apply(MigConfig *c, const MigParamChange *ch, bool running, Error **errp)
{
    const ParamRow *r = &param_rows[ch->param];
    bool same;

    if (ch->param < MIG_PARAM__NUM_MAX) {
        uint64_t *v = num_at(c, r->offset);
        same = *v == ch->num;
        *v = ch->num;
    } else if (ch->param == MIG_PARAM_CPR_EXEC_COMMAND) {
        static const char *const none[] = { NULL };
        const char *const *words = ch->strv ? ch->strv : none;
        same = g_strv_equal((const gchar *const *)c->cpr_exec_command, words);
        g_strfreev(c->cpr_exec_command);
        c->cpr_exec_command = g_strdupv((char **)words);
    } else {
        char **v = str_at(c, ch->param);
        const char *str = ch->str ? ch->str : "";
        char *copy = g_strdup(str);
        same = !strcmp(*v, str);
        g_free(*v);
        *v = copy;
    }
    if (running && !same && !r->live) {
        error_setg(errp, "a migration is in progress: parameter '%s' cannot be changed", r->name);
        return false;
    }
    return true;
}

bool mig_settings_set_params(MigSettings *s, const MigParamChange *changes, size_t n,
                             bool running, Error **errp)
{
    MigConfig c;
    bool ok = true;

    config_copy(&c, &s->c);
    for (size_t i = 0; i < n && ok; i++) {
        g_assert(changes[i].param < MIG_PARAM__MAX);
        ok = param_apply(&c, &changes[i], running, errp);
    }
    ok = ok && params_check(&c, errp);
    if (!ok) {
        config_clear(&c);
        return false;
    }
    for (int i = 0; i < MIG_PARAM__NUM_MAX; i++) {
        uint64_t v = mig_config_num(&c, i);
        if (v != mig_config_num(&s->c, i)) {
            trace_migration_set_parameter(param_rows[i].name, v);
            __atomic_store_n(num_at(&s->c, param_rows[i].offset), v, __ATOMIC_RELAXED);
        }
    }
    for (int i = MIG_PARAM__NUM_MAX; i < MIG_PARAM_CPR_EXEC_COMMAND; i++) {
        g_free(*str_at(&s->c, i));
        *str_at(&s->c, i) = *str_at(&c, i);
    }
    g_strfreev(s->c.cpr_exec_command);
    s->c.cpr_exec_command = c.cpr_exec_command;
    return true;
}

static bool parse_enum(MigParam param, const char *text, uint64_t *ret, Error **errp)
{
    const char *const *names = enum_names(param);
    g_autofree char *all = NULL;

    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], text)) {
            *ret = i;
            return true;
        }
    }
    all = g_strjoinv(", ", (char **)names);
    error_setg(errp, "parameter '%s' must be one of %s, not '%s'", param_rows[param].name, all,
               text);
    return false;
}

/* max-bandwidth and its kin count MiB in HMP when no suffix is given. */
static char size_suffix(MigParam param, bool hmp)
{
    bool mib = param == MIG_PARAM_MAX_BANDWIDTH || param == MIG_PARAM_AVAIL_SWITCHOVER_BANDWIDTH;

    return hmp && mib ? 'M' : 'B';
}

bool mig_param_parse(MigParam param, const char *text, bool hmp, MigParamChange *ret_change,
                     Error **errp)
{
    const ParamRow *r = &param_rows[param];
    bool flag, ok = false;

    *ret_change = (MigParamChange){ .param = param };
    switch (r->type) {
    case MIG_PARAM_T_SIZE:
        ok = parse_size(text, size_suffix(param, hmp), &ret_change->num);
        break;
    case MIG_PARAM_T_U64:
    case MIG_PARAM_T_U32:
    case MIG_PARAM_T_U8:
        ok = parse_u64(text, &ret_change->num);
        break;
    case MIG_PARAM_T_BOOL:
        ok = parse_bool(text, &flag);
        ret_change->num = ok && flag;
        break;
    case MIG_PARAM_T_COMPRESSION:
    case MIG_PARAM_T_ZERO_DETECTION:
    case MIG_PARAM_T_MODE:
        return parse_enum(param, text, &ret_change->num, errp);
    case MIG_PARAM_T_STR:
        ret_change->str = text;
        return true;
    case MIG_PARAM_T_STRLIST:
        error_setg(errp, "parameter '%s' can only be set with QMP", r->name);
        return false;
    }
    if (!ok) {
        error_setg(errp, "parameter '%s' must be a %s, not '%s'", r->name,
                   r->type == MIG_PARAM_T_BOOL ? "bool (on, off)" :
                   r->type == MIG_PARAM_T_SIZE ? "size" : "number", text);
    }
    return ok;
}

/* -global. */

static bool set_prop(MigSettings *s, size_t i, const char *value, Error **errp)
{
    uint64_t *v = num_at(&s->c, prop_rows[i].offset);
    uint64_t n;
    bool flag;

    if (prop_rows[i].offset == offsetof(MigConfig, clear_bitmap_shift)) {
        if (!parse_u64(value, &n) || n < 6 || n > 31) {
            error_setg(errp, "migration.%s must be from 6 to 31, not '%s'", prop_rows[i].name,
                       value);
            return false;
        }
        *v = n;
        return true;
    }
    if (!parse_bool(value, &flag)) {
        error_setg(errp, "migration.%s must be on or off, not '%s'", prop_rows[i].name, value);
        return false;
    }
    *v = flag;
    return true;
}

bool mig_settings_set_global(MigSettings *s, const char *prop, const char *value, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(prop_rows); i++) {
        if (!strcmp(prop_rows[i].name, prop)) {
            return set_prop(s, i, value, errp);
        }
    }
    for (int i = 0; i < MIG_CAP__MAX; i++) {
        MigCapChange change = { .cap = i };
        if (!cap_rows[i].global || strcmp(cap_rows[i].global, prop)) {
            continue;
        }
        if (!parse_bool(value, &change.on)) {
            error_setg(errp, "migration.%s must be on or off, not '%s'", prop, value);
            return false;
        }
        return mig_settings_set_caps(s, &change, 1, false, errp);
    }
    for (int i = 0; i < MIG_PARAM__MAX; i++) {
        MigParamChange change;
        if (param_rows[i].global && !strcmp(param_rows[i].global, prop)) {
            return mig_param_parse(i, value, false, &change, errp) &&
                   mig_settings_set_params(s, &change, 1, false, errp);
        }
    }
    error_setg(errp, "migration has no property '%s'", prop);
    return false;
}
