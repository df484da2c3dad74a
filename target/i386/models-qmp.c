/*
 * QMP commands on CPU models: query-cpu-definitions, query-cpu-model-expansion.
 *
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
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

/*
 * Names of the bits of `words` that the accelerator cannot give.  What KVM offers to its guests
 * is part of a model under KVM only.
 */
static GPtrArray *missing_features(const uint32_t *words)
{
    uint32_t missing[FEAT_WORDS];

    for (int w = 0; w < FEAT_WORDS; w++) {
        missing[w] = w == FEAT_KVM && !kvm_enabled() ? 0 : words[w] & ~feature_supported(w);
    }
    return feature_names(missing);
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

/* One member of `props` as the text that -cpu takes for it. */
static char *prop_text(const char *name, JsonNode *value, Error **errp)
{
    switch (qapi_json_kind(value)) {
    case QAPI_JSON_BOOL:
        return g_strdup_printf("%s=%s", name, json_node_get_boolean(value) ? "on" : "off");
    case QAPI_JSON_INT:
        return g_strdup_printf("%s=%" G_GINT64_FORMAT, name, json_node_get_int(value));
    case QAPI_JSON_STRING:
        return g_strdup_printf("%s=%s", name, json_node_get_string(value));
    default:
        error_setg(errp, "'model.props.%s' is no value of a CPU property", name);
        return NULL;
    }
}

/* Properties on top of a model. */
static bool apply_props(X86CPU *cpu, JsonNode *props, Error **errp)
{
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
        g_autofree char *text = prop_text(name, value, errp);

        if (!text || !x86_cpu_set_property_text(cpu, text, errp)) {
            return false;
        }
    }
    return true;
}

/* Who the CPU says it is, in the names that -cpu has for that. */
static void add_identity(JsonObject *props, const X86CPU *cpu)
{
    uint32_t v = cpu->version, family = v >> 8 & 15, vendor[3];
    g_autofree char *model_id = g_strndup(cpu->model_id, sizeof(cpu->model_id));
    char name[13] = "";

    vendor[0] = cpu->vendor_ebx;
    vendor[1] = cpu->vendor_edx;
    vendor[2] = cpu->vendor_ecx;
    memcpy(name, vendor, 12);
    json_object_set_string_member(props, "vendor", name);
    json_object_set_int_member(props, "family", family == 15 ? 15 + (v >> 20 & 0xff) : family);
    json_object_set_int_member(props, "model", (v >> 4 & 15) | (v >> 12 & 0xf0));
    json_object_set_int_member(props, "stepping", v & 15);
    json_object_set_string_member(props, "model-id", g_strchomp(model_id));
    json_object_set_int_member(props, "level", cpu->level);
    json_object_set_int_member(props, "xlevel", cpu->xlevel);
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
    add_identity(props, cpu);
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
