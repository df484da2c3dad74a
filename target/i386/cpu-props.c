/*
 * What monitors see of a CPU object: where it is, and each feature as a switch.
 *
 * Managers read the features of a machine that has just been made, to check that the guest has
 * what was asked for and to ask the destination of a migration for the same.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "cpu-internal.h"
#include "qapi/visit.h"

static JsonNode *get_feature(Object *obj, const PropertyInfo *p, Error **errp)
{
    return qapi_node_bool(feature_has(X86_CPU(obj), p->offset / 32, p->offset % 32));
}

static JsonNode *get_unavailable(Object *obj, const PropertyInfo *p, Error **errp)
{
    g_autoptr(GPtrArray) names = feature_names(X86_CPU(obj)->lacking);
    JsonArray *list = json_array_new();

    for (guint i = 0; i < names->len; i++) {
        json_array_add_string_element(list, names->pdata[i]);
    }
    return qapi_node_array(list);
}

#define PLACE(name_, field)                                                                  \
    { .name = name_, .kind = PROP_UINT32, .offset = offsetof(X86CPU, field), .readonly = true }

static const PropertyInfo fixed_props[] = {
    { .name = "apic-id", .kind = PROP_UINT32, .offset = offsetof(X86CPU, apic_id),
      .readonly = true, .description = "initial APIC id" },
    PLACE("socket-id", socket_id),
    PLACE("die-id", die_id),
    PLACE("core-id", core_id),
    PLACE("thread-id", thread_id),
    { .name = "unavailable-features", .kind = PROP_CUSTOM, .type_name = "strList",
      .get = get_unavailable, .readonly = true,
      .description = "features that were asked for and the accelerator cannot give" },
};

/* Those, one a feature (offset: word and bit), and the end. */
PropertyInfo x86_cpu_props[G_N_ELEMENTS(fixed_props) + FEAT_WORDS * 32 + 1];

static void __attribute__((constructor)) make_props(void)
{
    size_t n = G_N_ELEMENTS(fixed_props);

    memcpy(x86_cpu_props, fixed_props, sizeof(fixed_props));
    for (size_t i = 0; i < FEAT_WORDS * 32; i++) {
        const char *name = feature_words[i / 32].names[i % 32];

        if (name) {
            x86_cpu_props[n++] = (PropertyInfo){ .name = name, .kind = PROP_CUSTOM, .offset = i,
                                             .type_name = "bool", .get = get_feature,
                                             .readonly = true };
        }
    }
}

const PropertyInfo x86_max_cpu_props[] = {
    { .name = "migratable", .kind = PROP_BOOL, .offset = offsetof(X86CPU, migratable),
      .readonly = true, .description = "without features that tie the guest to this host" },
    { .name = NULL },
};
