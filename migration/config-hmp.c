/*
 * HMP commands that set and show capabilities and parameters.
 *
 * Belongs to the main thread (machine lock).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "migration/config.h"
#include "monitor/hmp.h"
#include "util/util.h"

static void set_capability(HmpSession *s, JsonObject *args)
{
    const char *name = hmp_arg_str(args, "capability");
    MigCapChange change = { .on = hmp_arg_bool(args, "state") };
    Error *err = NULL;

    if (!mig_cap_from_name(name, &change.cap)) {
        error_setg(&err, "there is no capability '%s'", name);
    } else {
        mig_settings_set_caps(mig_settings(), &change, 1,
                              mig_settings_in_progress(mig_settings()), &err);
    }
    hmp_error(s, err);
}

/* cpr-exec-command: words as a shell would make them. */
static bool set_words(MigParam param, const char *value, Error **errp)
{
    g_auto(GStrv) words = NULL;
    MigParamChange change = { .param = param };

    if (*value && !g_shell_parse_argv(value, NULL, &words, errp)) {
        error_prefix(errp, "parameter '%s': ", mig_param_name(param));
        return false;
    }
    change.strv = (const char *const *)words;
    return mig_settings_set_params(mig_settings(), &change, 1,
                                   mig_settings_in_progress(mig_settings()), errp);
}

static void set_parameter(HmpSession *s, JsonObject *args)
{
    const char *name = hmp_arg_str(args, "parameter");
    const char *value = hmp_arg_str(args, "value");
    MigParamChange change;
    MigParam param;
    Error *err = NULL;

    if (!strcmp(name, "block-bitmap-mapping")) {
        error_setg(&err, "parameter 'block-bitmap-mapping' can only be set with QMP");
    } else if (!mig_param_from_name(name, &param)) {
        error_setg(&err, "there is no parameter '%s'", name);
    } else if (mig_param_type(param) == MIG_PARAM_T_STRLIST) {
        set_words(param, value, &err);
    } else if (mig_param_parse(param, value, true, &change, &err)) {
        mig_settings_set_params(mig_settings(), &change, 1,
                                mig_settings_in_progress(mig_settings()), &err);
    }
    hmp_error(s, err);
}

static void info_capabilities(HmpSession *s, JsonObject *args)
{
    const MigConfig *c = mig_settings_get(mig_settings());

    for (int i = 0; i < MIG_CAP__MAX; i++) {
        hmp_printf(s, "%s: %s\n", mig_cap_name(i), c->cap[i] ? "on" : "off");
    }
}

static void print_number(HmpSession *s, const MigConfig *c, MigParam p)
{
    uint64_t v = mig_config_num(c, p);
    const char *enum_name = mig_param_enum_name(p, v);

    if (enum_name) {
        hmp_printf(s, "%s: %s\n", mig_param_name(p), enum_name);
    } else if (mig_param_type(p) == MIG_PARAM_T_BOOL) {
        hmp_printf(s, "%s: %s\n", mig_param_name(p), v ? "on" : "off");
    } else {
        hmp_printf(s, "%s: %" PRIu64 "%s\n", mig_param_name(p), v, mig_param_unit(p));
    }
}

static bool is_level(MigParam p)
{
    return p == MIG_PARAM_MULTIFD_ZLIB_LEVEL || p == MIG_PARAM_MULTIFD_ZSTD_LEVEL ||
           p == MIG_PARAM_MULTIFD_QATZIP_LEVEL;
}

static void info_parameters(HmpSession *s, JsonObject *args)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    g_autofree char *command = g_strjoinv(" ", c->cpr_exec_command);

    for (int i = 0; i < MIG_PARAM__NUM_MAX; i++) {
        if (is_level(i)) {
            continue; /* not among the lines that tools expect */
        }
        print_number(s, c, i);
        if (i == MIG_PARAM_MAX_CPU_THROTTLE) {
            for (int j = MIG_PARAM__NUM_MAX; j < MIG_PARAM_CPR_EXEC_COMMAND; j++) {
                hmp_printf(s, "%s: '%s'\n", mig_param_name(j), mig_config_str(c, j));
            }
        }
    }
    hmp_printf(s, "cpr-exec-command: %s\n", command);
}

static void complete_capability(GPtrArray *list, int nr, const char *prefix)
{
    static const char *const states[] = { "on", "off", NULL };

    if (nr == 0) {
        for (int i = 0; i < MIG_CAP__MAX; i++) {
            hmp_complete_add(list, mig_cap_name(i));
        }
    } else if (nr == 1) {
        hmp_complete_names(list, states);
    }
}

static void complete_parameter(GPtrArray *list, int nr, const char *prefix)
{
    for (int i = 0; nr == 0 && i < MIG_PARAM__MAX; i++) {
        hmp_complete_add(list, mig_param_name(i));
    }
}

static const HmpCommand config_commands[] = {
    { "migrate_set_capability", "capability:s,state:b", "capability on|off",
      "switch a migration capability on or off", set_capability, complete_capability },
    { "migrate_set_parameter", "parameter:s,value:s", "parameter value",
      "set a migration parameter (bandwidths in MiB a second)", set_parameter,
      complete_parameter },
    { .name = NULL },
};
HMP_COMMANDS(config_commands)

static const HmpCommand config_info[] = {
    { "migrate_capabilities", "", "", "show the migration capabilities", info_capabilities, NULL },
    { "migrate_parameters", "", "", "show the migration parameters", info_parameters, NULL },
    { .name = NULL },
};
HMP_INFO(config_info)
