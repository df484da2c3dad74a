/*
 * QMP command query-command-line-options: the option table as QMP has it.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "qapi/qapi-commands.h"
#include "system/cmdline-private.h"

/* "name:type name:type" */
static GPtrArray *parameters(const char *params)
{
    GPtrArray *list = command_line_parameter_info_list_new();
    g_auto(GStrv) words = g_strsplit(params, " ", -1);

    for (char **w = words; *w; w++) {
        CommandLineParameterInfo *info = g_new0(CommandLineParameterInfo, 1);
        char *colon = strchr(*w, ':');
        bool known = colon && command_line_parameter_type_parse(colon + 1, &info->type);

        g_assert(known);
        info->name = g_strndup(*w, colon - *w);
        g_ptr_array_add(list, info);
    }
    return list;
}

GPtrArray *qmp_query_command_line_options(const QueryCommandLineOptionsArgs *args, Error **errp)
{
    g_autoptr(GPtrArray) list = command_line_option_info_list_new();

    for (const CmdlineOption *o = cmdline_table; o->name; o++) {
        CommandLineOptionInfo *info;

        if (!o->params || (args->option && strcmp(args->option, o->name))) {
            continue;
        }
        info = g_new0(CommandLineOptionInfo, 1);
        info->option = g_strdup(o->name);
        info->parameters = parameters(o->params);
        g_ptr_array_add(list, info);
    }
    if (args->option && !list->len) {
        error_setg(errp, "there is no command line option '%s' with parameters", args->option);
        return NULL;
    }
    return g_steal_pointer(&list);
}
