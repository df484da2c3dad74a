/*
 * QMP commands on CPU models: query-cpu-definitions, query-cpu-model-expansion.
 *
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "accel/accel.h"
#include "cpu-internal.h"
#include "qapi/qapi-commands.h"

static char *type_of(const char *model)
{
    return g_strdup_printf("%s-" TYPE_X86_CPU, model);
}

static bool usable(const CPUModelDef *def, Error **errp)
{
    if (def->host_identity && !strcmp(def->name, "host") && !kvm_enabled()) {
        error_setg(errp, "CPU model '%s' requires KVM", def->name);
        return false;
    }
    return true;
}

/* Names of the bits of `words` that the accelerator cannot give. */
static GPtrArray *missing_features(const uint32_t *words)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    for (int w = 0; w < FEAT_WORDS; w++) {
        uint32_t missing = words[w] & ~feature_supported(w);
        for (int bit = 0; bit < 32; bit++) {
            if (missing >> bit & 1 && feature_words[w].names[bit]) {
                g_ptr_array_add(names, g_strdup(feature_words[w].names[bit]));
            }
        }
    }
    return names;
}

GPtrArray *qmp_query_cpu_definitions(Error **errp)
{
    GPtrArray *list = cpu_definition_info_list_new();

    for (const X86CPUModel *m = x86_cpu_models(); m->name; m++) {
        CpuDefinitionInfo *info = g_new0(CpuDefinitionInfo, 1);
        const CPUModelDef *def = cpu_model_find(m->name);

        info->name = g_strdup(m->name);
        info->typename = type_of(m->name);
        info->has_migration_safe = true;
        info->migration_safe = m->migration_safe;
        info->q_static = m->is_static;
        if (accel && usable(def, NULL)) {
            Object *obj = object_new(info->typename);
            cpu_model_apply(X86_CPU(obj), def);
            info->unavailable_features = missing_features(X86_CPU(obj)->features);
            object_unref(obj);
        }
        g_ptr_array_add(list, info);
    }
    return list;
}

/* "feature": true/false on top of a model; others that -cpu knows need no change here. */
static bool apply_props(X86CPU *cpu, JsonNode *props, Error **errp)
{
    static const char *const others[] = { "migratable", "pmu", "check", "enforce", NULL };
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    if (!props) {
        return true;
    }
    if (qapi_json_kind(props) != QAPI_JSON_OBJECT) {
        error_setg(errp, "Invalid parameter type for 'model.props', expected: object");
        return false;
    }
    json_object_iter_init(&iter, json_node_get_object(props));
    while (json_object_iter_next(&iter, &name, &value)) {
        uint32_t mask;
        int word;

        if (qapi_json_kind(value) != QAPI_JSON_BOOL) {
            error_setg(errp, "Invalid parameter type for 'model.props.%s', expected: boolean", name);
            return false;
        }
        if (feature_find(name, &word, &mask)) {
            if (json_node_get_boolean(value)) {
                cpu->features[word] |= mask;
            } else {
                cpu->features[word] &= ~mask;
            }
        } else if (!g_strv_contains(others, name)) {
            error_setg(errp, "Property '%s.%s' not found", cpu->parent.obj.type->name, name);
            return false;
        }
    }
    return true;
}

static JsonNode *all_props(const X86CPU *cpu)
{
    JsonObject *props = json_object_new();

    for (int w = 0; w < FEAT_WORDS; w++) {
        uint32_t have = cpu->features[w] & feature_supported(w);
        for (int bit = 0; bit < 32; bit++) {
            if (feature_words[w].names[bit]) {
                json_object_set_boolean_member(props, feature_words[w].names[bit],
                                               have >> bit & 1);
            }
        }
    }
    return qapi_node_object(props);
}

CpuModelExpansionInfo *qmp_query_cpu_model_expansion(const QueryCpuModelExpansionArgs *args,
                                                     Error **errp)
{
    const CPUModelDef *def = cpu_model_find(args->model->name);
    g_autofree char *type = NULL;
    CpuModelExpansionInfo *info = NULL;
    Object *obj;

    if (!def) {
        error_setg(errp, "CPU model '%s' not found", args->model->name);
        return NULL;
    }
    if (!accel) {
        error_setg(errp, "CPU models can be expanded once an accelerator is chosen");
        return NULL;
    }
    if (!usable(def, errp)) {
        return NULL;
    }
    type = type_of(def->name);
    obj = object_new(type);
    cpu_model_apply(X86_CPU(obj), def);
    if (apply_props(X86_CPU(obj), args->model->props, errp)) {
        info = g_new0(CpuModelExpansionInfo, 1);
        info->model = g_new0(CpuModelInfo, 1);
        info->model->name = g_strdup(args->type == CPU_MODEL_EXPANSION_TYPE_STATIC ? "base"
                                                                                   : def->name);
        info->model->props = all_props(X86_CPU(obj));
    }
    object_unref(obj);
    return info;
}
