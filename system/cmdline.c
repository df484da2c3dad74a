/*
 * Command line: walks argv, finds each option's row and calls its handler.
 * Main thread, before anything else exists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/cmdline-private.h"

#include <string.h>

static bool default_devices = true;

bool cmdline_default_devices(void)
{
    return default_devices;
}

bool cmdline_is_help(const char *arg)
{
    return g_str_equal(arg, "help") || g_str_equal(arg, "?");
}

static void monitor_option_free(gpointer p)
{
    MonitorOption *m = p;

    g_free(m->chardev);
    g_free(m->short_form);
    g_free(m);
}

static void block_option_free(gpointer p)
{
    BlockOption *b = p;

    g_free(b->arg);
    g_free(b);
}

static void cmdline_init(Cmdline *c)
{
    GPtrArray **const lists[] = { &c->accels, &c->objects, &c->devices, &c->chardevs,
                                  &c->add_fds, &c->globals, &c->serials, &c->incoming,
                                  &c->netdevs, &c->nics };

    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        *lists[i] = g_ptr_array_new_with_free_func(g_free);
    }
    c->blocks = g_ptr_array_new_with_free_func(block_option_free);
    c->monitors = g_ptr_array_new_with_free_func(monitor_option_free);
    c->machine = json_object_new();
    c->smp = json_object_new();
    c->memory = json_object_new();
    c->boot = json_object_new();
}

void cmdline_clear(Cmdline *c)
{
    GPtrArray *const lists[] = { c->accels, c->objects, c->devices,  c->chardevs, c->add_fds,
                                 c->globals, c->serials, c->incoming, c->blocks,  c->monitors,
                                 c->netdevs, c->nics };
    char *const strings[] = { c->cpu_model, c->kernel,   c->initrd,    c->append,     c->bios,
                              c->mem_path,  c->qtest,    c->qtest_log, c->rtc_base,   c->rtc_clock,
                              c->pidfile,   c->chroot_dir, c->user,    c->log_path,
                              c->process_name };

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_ptr_array_unref(lists[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(strings); i++) {
        g_free(strings[i]);
    }
    json_object_unref(c->machine);
    json_object_unref(c->smp);
    json_object_unref(c->memory);
    json_object_unref(c->boot);
    g_clear_pointer(&c->sandbox, json_object_unref);
    memset(c, 0, sizeof(*c));
}

static const CmdlineOption *find(const char *name)
{
    for (const CmdlineOption *o = cmdline_table; o->name; o++) {
        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

/* The option that the user may have meant: the one with the fewest edits, if few. */
static const char *nearest(const char *name)
{
    const char *best = NULL;
    size_t n = strlen(name), best_cost = 3;

    for (const CmdlineOption *o = cmdline_table; o->name && n > 2 && n < 32; o++) {
        size_t m = strlen(o->name), row[34];
        if (m < 3 || m > 32 || !o->parse) {
            continue;
        }
        for (size_t j = 0; j <= m; j++) {
            row[j] = j;
        }
        for (size_t i = 1; i <= n; i++) {
            size_t diagonal = row[0];
            row[0] = i;
            for (size_t j = 1; j <= m; j++) {
                size_t change = diagonal + (name[i - 1] != o->name[j - 1]);
                diagonal = row[j];
                row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
            }
        }
        if (row[m] < best_cost) {
            best_cost = row[m];
            best = o->name;
        }
    }
    return best;
}

static bool parse_one(Cmdline *c, int argc, char **argv, int *i, Error **errp)
{
    const char *text = argv[*i], *name = text, *arg = NULL;
    const CmdlineOption *o;

    if (*name != '-' || !name[1]) {
        error_setg(errp, "'%s' is not an option; a disk is given as -drive file=%s", text, text);
        return false;
    }
    name += name[1] == '-' ? 2 : 1;
    o = find(name);
    if (!o) {
        const char *other = nearest(name);
        error_setg(errp, "unknown option '%s'%s%s%s (try -help)", text,
                   other ? "; did you mean '-" : "", other ? other : "", other ? "'?" : "");
        return false;
    }
    if (o->why) {
        error_setg(errp, "-%s is not supported: %s", o->name, o->why);
        return false;
    }
    if (o->arg) {
        if (++*i >= argc) {
            error_setg(errp, "-%s needs an argument: -%s %s", o->name, o->name, o->arg);
            return false;
        }
        arg = argv[*i];
    }
    c->arg_of = o->name;
    if (!o->parse(c, arg, errp)) {
        g_autofree char *prefix = g_strdup_printf("-%s%s%s: ", o->name, arg ? " " : "",
                                                  arg ? arg : "");
        error_prefix(errp, "%s", prefix);
        return false;
    }
    return true;
}

bool cmdline_parse(Cmdline *c, int argc, char **argv, Error **errp)
{
    cmdline_init(c);
    for (int i = 1; i < argc; i++) {
        if (!parse_one(c, argc, argv, &i, errp)) {
            return false;
        }
    }
    default_devices = !c->nodefaults;
    return true;
}

static JsonObject *describe(const CmdlineOption *o)
{
    g_auto(GStrv) params = g_strsplit(o->params, " ", -1);
    JsonArray *list = json_array_new();
    JsonObject *result = json_object_new();

    for (char **p = params; *p; p++) {
        g_auto(GStrv) pair = g_strsplit(*p, ":", 2);
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, "name", pair[0]);
        json_object_set_string_member(row, "type", pair[1]);
        json_array_add_object_element(list, row);
    }
    json_object_set_array_member(result, "parameters", list);
    json_object_set_string_member(result, "option", g_str_equal(o->name, "m") ? "memory"
                                                                              : o->name);
    return result;
}

JsonArray *cmdline_options_describe(const char *option, Error **errp)
{
    g_autoptr(JsonArray) list = json_array_new();

    for (const CmdlineOption *o = cmdline_table; o->name; o++) {
        if (o->params) {
            JsonObject *row = describe(o);
            if (!option ||
                g_str_equal(option, json_object_get_string_member(row, "option"))) {
                json_array_add_object_element(list, row);
            } else {
                json_object_unref(row);
            }
        }
    }
    if (option && json_array_get_length(list) == 0) {
        error_setg(errp, "there is no option '%s' with parameters", option);
        return NULL;
    }
    return g_steal_pointer(&list);
}
