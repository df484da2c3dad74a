/*
 * QMP commands that set and query capabilities and parameters.
 *
 * Belongs to the main thread (machine lock).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/config.h"
#include "qapi/qapi-commands.h"
#include "util/util.h"

#define X(id, ...) G_STATIC_ASSERT((int)MIG_CAP_##id == (int)MIGRATION_CAPABILITY_##id);
MIG_CAPS(X)
#undef X
G_STATIC_ASSERT((int)MIG_CAP__MAX == (int)MIGRATION_CAPABILITY__MAX);
#define X(id, name) G_STATIC_ASSERT((int)MIG_COMPRESSION_##id == (int)MULTIFD_COMPRESSION_##id);
MIG_COMPRESSIONS(X)
#undef X
#define X(id, name) \
    G_STATIC_ASSERT((int)MIG_ZERO_DETECTION_##id == (int)ZERO_PAGE_DETECTION_##id);
MIG_ZERO_DETECTIONS(X)
#undef X

bool qmp_migrate_set_capabilities(const MigrateSetCapabilitiesArgs *args, Error **errp)
{
    const GPtrArray *list = args->capabilities;
    g_autofree MigCapChange *changes = g_new0(MigCapChange, list->len + 1);

    for (guint i = 0; i < list->len; i++) {
        const MigrationCapabilityStatus *c = g_ptr_array_index(list, i);
        changes[i] = (MigCapChange){ (MigCap)c->capability, c->state };
    }
    return mig_settings_set_caps(mig_settings(), changes, list->len,
                                 mig_settings_in_progress(mig_settings()), errp);
}

GPtrArray *qmp_query_migrate_capabilities(Error **errp)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    GPtrArray *list = migration_capability_status_list_new();

    for (int i = 0; i < MIG_CAP__MAX; i++) {
        MigrationCapabilityStatus *s = g_new0(MigrationCapabilityStatus, 1);
        s->capability = (MigrationCapability)i;
        s->state = c->cap[i];
        g_ptr_array_add(list, s);
    }
    return list;
}

/* NULL-terminated words that borrow from the list. */
static const char **words(const GPtrArray *list)
{
    const char **w = g_new0(const char *, list->len + 1);

    for (guint i = 0; i < list->len; i++) {
        w[i] = g_ptr_array_index(list, i);
    }
    return w;
}

bool qmp_migrate_set_parameters(const MigrationParameters *args, Error **errp)
{
    MigParamChange changes[MIG_PARAM__MAX];
    g_autofree const char **command = NULL;
    size_t n = 0;

    if (args->block_bitmap_mapping) {
        error_setg(errp, "parameter 'block-bitmap-mapping' is not supported by this build");
        return false;
    }
#define X(id, field, ...)                                                                    \
    if (args->has_##field) {                                                                 \
        changes[n++] = (MigParamChange){ .param = MIG_PARAM_##id, .num = args->field };      \
    }
    MIG_NUM_PARAMS(X)
#undef X
#define X(id, field, ...)                                                                    \
    if (args->field) {                                                                       \
        changes[n++] = (MigParamChange){                                                     \
            .param = MIG_PARAM_##id,                                                         \
            .str = args->field->kind == STR_OR_NULL_S ? args->field->u.s : NULL              \
        };                                                                                   \
    }
    MIG_STR_PARAMS(X)
#undef X
    if (args->cpr_exec_command) {
        command = words(args->cpr_exec_command);
        changes[n++] = (MigParamChange){ .param = MIG_PARAM_CPR_EXEC_COMMAND, .strv = command };
    }
    return mig_settings_set_params(mig_settings(), changes, n,
                                   mig_settings_in_progress(mig_settings()), errp);
}

static StrOrNull *str_or_null(const char *str)
{
    StrOrNull *v = g_new0(StrOrNull, 1);

    v->kind = STR_OR_NULL_S;
    v->u.s = g_strdup(str);
    return v;
}

MigrationParameters *qmp_query_migrate_parameters(Error **errp)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    MigrationParameters *p = g_new0(MigrationParameters, 1);

#define X(id, f, ...)    \
    p->has_##f = true;   \
    p->f = c->f;
    MIG_NUM_PARAMS(X)
#undef X
#define X(id, f, ...) p->f = str_or_null(c->f);
    MIG_STR_PARAMS(X)
#undef X
    p->cpr_exec_command = g_ptr_array_new_with_free_func(g_free);
    for (char **w = c->cpr_exec_command; *w; w++) {
        g_ptr_array_add(p->cpr_exec_command, g_strdup(*w));
    }
    return p;
}
