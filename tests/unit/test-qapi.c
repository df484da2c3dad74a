/*
 * Generated QAPI code: conversions with good and bad values, and the introspection,
 * which must refer only to types that it describes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "qapi/command.h"
#include "qapi/json.h"
#include "qapi/qapi-types.h"
#include "hw/core/device.h"
#include "qom/object.h"

static JsonNode *parse(const char *text)
{
    g_autoptr(Error) err = NULL;
    JsonNode *n = json_parse_text(text, strlen(text), &err);

    g_assert_no_error(err);
    return n;
}

#define CHECK_BAD(type_, text_, message_)                                  \
    do {                                                                   \
        g_autoptr(JsonNode) n_ = parse(text_);                             \
        g_autoptr(Error) err_ = NULL;                                      \
        g_assert_null(type_##_from_json(n_, &err_));                       \
        g_assert_cmpstr(err_ ? error_get_pretty(err_) : "", ==, message_); \
    } while (0)

#define CHECK_ROUND(type_, text_)                     \
    do {                                                     \
        g_autoptr(JsonNode) n_ = parse(text_);               \
        g_autoptr(Error) err_ = NULL;                        \
        void *v_ = type_##_from_json(n_, &err_);             \
        g_assert_no_error(err_);                             \
        g_autoptr(JsonNode) back_ = type_##_to_json(v_);     \
        g_assert_true(json_node_equal(n_, back_));           \
        type_##_free(v_);                                    \
    } while (0)

static void test_struct(void)
{
    CHECK_ROUND(version_info, "{'qemu':{'major':1,'minor':2,'micro':3},'package':'x'}");
    CHECK_BAD(version_info, "{'qemu':{'major':1,'minor':2,'micro':3}}",
              "Parameter 'package' is missing");
    CHECK_BAD(version_info, "{'qemu':{'major':1,'minor':2},'package':'x'}",
              "Parameter 'qemu.micro' is missing");
    CHECK_BAD(version_info, "{'qemu':{'major':'1','minor':2,'micro':3},'package':'x'}",
              "Invalid parameter type for 'qemu.major', expected: integer");
    CHECK_BAD(version_info, "{'qemu':{'major':1,'minor':2,'micro':3,'nano':4},'package':'x'}",
              "Parameter 'qemu.nano' is unexpected");
    CHECK_BAD(version_info, "{'qemu':[],'package':'x'}",
              "Invalid parameter type for 'qemu', expected: object");
    CHECK_BAD(version_info, "{'qemu':{'major':1,'minor':2,'micro':3},'package':null}",
              "Invalid parameter type for 'package', expected: string");
    CHECK_BAD(version_info, "3", "Invalid parameter type for 'null', expected: object");
}

static void test_list(void)
{
    CHECK_ROUND(fdset_info, "{'fdset-id':1,'fds':[{'fd':3},{'fd':4,'opaque':'x'}]}");
    CHECK_ROUND(fdset_info, "{'fdset-id':1,'fds':[]}");
    CHECK_BAD(fdset_info, "{'fdset-id':1,'fds':[{'fd':3},{}]}", "Parameter 'fds[1].fd' is missing");
    CHECK_BAD(fdset_info, "{'fdset-id':1,'fds':{}}",
              "Invalid parameter type for 'fds', expected: array");
    CHECK_BAD(fdset_info, "{'fdset-id':1,'fds':[1]}",
              "Invalid parameter type for 'fds[0]', expected: object");
}

static void test_scalars(void)
{
    CHECK_ROUND(memory_backend_properties,
                "{'size':4096,'share':true,'prealloc-threads':4294967295,'policy':'bind',"
                "'host-nodes':[0,65535]}");
    CHECK_BAD(memory_backend_properties, "{'size':1,'prealloc-threads':4294967296}",
              "Parameter 'prealloc-threads' expects uint32_t");
    CHECK_BAD(memory_backend_properties, "{'size':1,'host-nodes':[-1]}",
              "Parameter 'host-nodes[0]' expects uint16_t");
    CHECK_BAD(memory_backend_properties, "{'size':1.5}",
              "Invalid parameter type for 'size', expected: integer");
    CHECK_BAD(memory_backend_properties, "{'size':1,'share':'on'}",
              "Invalid parameter type for 'share', expected: boolean");
    CHECK_BAD(memory_backend_properties, "{'size':1,'policy':'best'}",
              "Parameter 'policy' does not accept value 'best'");
}

static void test_union(void)
{
    g_autoptr(JsonNode) n = parse("{'qom-type':'memory-backend-file','id':'m','size':8,"
                                  "'mem-path':'/x','readonly':false}");
    g_autoptr(ObjectOptions) o = object_options_from_json(n, NULL);

    g_assert_nonnull(o);
    g_assert_cmpint(o->qom_type, ==, OBJECT_TYPE_MEMORY_BACKEND_FILE);
    g_assert_cmpuint(o->u.memory_backend_file.size, ==, 8);
    g_assert_true(o->u.memory_backend_file.has_readonly);
    g_assert_false(o->u.memory_backend_file.has_pmem);
    g_autoptr(JsonNode) back = object_options_to_json(o);
    g_assert_true(json_node_equal(n, back));
    CHECK_BAD(object_options, "{'qom-type':'memory-backend-ram','id':'m','size':8,'mem-path':'/x'}",
              "Parameter 'mem-path' is unexpected");
    CHECK_BAD(object_options, "{'qom-type':'memory-backend-file','id':'m','size':8}",
              "Parameter 'mem-path' is missing");
    CHECK_BAD(object_options, "{'id':'m'}", "Parameter 'qom-type' is missing");
    CHECK_BAD(chardev_backend,
              "{'type':'socket','data':{'addr':{'type':'inet','data':{'host':'h'}}}}",
              "Parameter 'data.addr.data.port' is missing");
}

static void test_alternate(void)
{
    g_autoptr(JsonNode) s = parse("'x'"), n = parse("null");
    g_autoptr(StrOrNull) a = str_or_null_from_json(s, NULL);
    g_autoptr(StrOrNull) b = str_or_null_from_json(n, NULL);

    g_assert_cmpint(a->kind, ==, STR_OR_NULL_S);
    g_assert_cmpstr(a->u.s, ==, "x");
    g_assert_cmpint(b->kind, ==, STR_OR_NULL_N);
    CHECK_BAD(str_or_null, "1", "Invalid parameter type for 'null', expected: string or null");
}

static void test_enum(void)
{
    OnOffAuto v;

    g_assert_true(on_off_auto_parse("off", &v));
    g_assert_cmpint(v, ==, ON_OFF_AUTO_OFF);
    g_assert_false(on_off_auto_parse("maybe", &v));
    g_assert_cmpstr(on_off_auto_str(ON_OFF_AUTO_AUTO), ==, "auto");
}

/* Commands with their arguments, as a client sends them. */
static void test_arguments(void)
{
    static const struct { const char *command, *args, *message; } rows[] = {
        { "query-version", "{'x':1}", "Parameter 'x' is unexpected" },
        { "qom-list", "{}", "Parameter 'path' is missing" },
        { "qom-list", "{'path':1}", "Invalid parameter type for 'path', expected: string" },
        { "getfd", "{'fdname':'a','b':1}", "Parameter 'b' is unexpected" },
        { "set-action", "{'panic':'dance'}", "Parameter 'panic' does not accept value 'dance'" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const QmpCommand *cmd = qmp_command_find(rows[i].command);
        g_autoptr(JsonNode) args = parse(rows[i].args);
        g_autoptr(Error) err = NULL;
        JsonNode *ret = NULL;

        g_assert_nonnull(cmd);
        g_assert_false(cmd->run(json_node_get_object(args), &ret, &err));
        g_assert_cmpstr(error_get_pretty(err), ==, rows[i].message);
    }
    g_assert_null(qmp_command_find("no-such-command"));
}

static void want_type(GHashTable *known, const char *name)
{
    if (!g_hash_table_contains(known, name)) {
        g_test_message("type '%s' is referred to but not described", name);
        g_test_fail();
    }
}

static void check_object(GHashTable *known, const SchemaInfoObject *o)
{
    bool tag_found = !o->tag;

    for (guint i = 0; i < o->members->len; i++) {
        const SchemaInfoObjectMember *m = g_ptr_array_index(o->members, i);
        want_type(known, m->type);
        tag_found |= o->tag && !strcmp(m->name, o->tag);
    }
    g_assert_true(tag_found);
    for (guint i = 0; o->variants && i < o->variants->len; i++) {
        want_type(known, ((SchemaInfoObjectVariant *)g_ptr_array_index(o->variants, i))->type);
    }
}

static void check_entity(GHashTable *known, const SchemaInfo *e)
{
    switch (e->meta_type) {
    case SCHEMA_META_TYPE_ARRAY:
        want_type(known, e->u.array.element_type);
        break;
    case SCHEMA_META_TYPE_OBJECT:
        check_object(known, &e->u.object);
        break;
    case SCHEMA_META_TYPE_ALTERNATE:
        for (guint i = 0; i < e->u.alternate.members->len; i++) {
            SchemaInfoAlternateMember *m = g_ptr_array_index(e->u.alternate.members, i);
            want_type(known, m->type);
        }
        break;
    case SCHEMA_META_TYPE_COMMAND:
        want_type(known, e->u.command.arg_type);
        want_type(known, e->u.command.ret_type);
        g_assert_nonnull(qmp_command_find(e->name));
        break;
    case SCHEMA_META_TYPE_EVENT:
        want_type(known, e->u.event.arg_type);
        break;
    default:
        break;
    }
}

static void test_introspection(void)
{
    g_autoptr(JsonNode) node = parse(qmp_schema_json);
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) list = schema_info_list_new();
    JsonArray *array = json_node_get_array(node);
    unsigned commands = 0;

    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autoptr(Error) err = NULL;
        SchemaInfo *e = schema_info_from_json(json_array_get_element(array, i), &err);

        g_assert_no_error(err);
        g_ptr_array_add(list, e);
        if (e->meta_type == SCHEMA_META_TYPE_COMMAND) {
            commands++;
        } else if (e->meta_type != SCHEMA_META_TYPE_EVENT) {
            g_assert_true(g_hash_table_add(known, g_strdup(e->name))); /* described once */
        }
    }
    g_assert_cmpuint(commands, ==, qmp_commands_count);
    for (guint i = 0; i < list->len; i++) {
        check_entity(known, g_ptr_array_index(list, i));
    }
}

/* Every type that -object makes can be named in object-add, and the other way round. */
static void test_object_types(void)
{
    g_autoptr(GPtrArray) types = type_list(NULL, false);
    unsigned n = 0;

    for (guint i = 0; i < types->len; i++) {
        const TypeInfo *t = g_ptr_array_index(types, i);
        ObjectType v;

        if (t->user_creatable && !type_is_a(t, TYPE_DEVICE)) {
            g_test_message("%s", t->name);
            g_assert_true(object_type_parse(t->name, &v));
            n++;
        }
    }
    g_assert_cmpuint(n, ==, OBJECT_TYPE__MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/struct", test_struct);
    g_test_add_func("/qapi/list", test_list);
    g_test_add_func("/qapi/scalars", test_scalars);
    g_test_add_func("/qapi/union", test_union);
    g_test_add_func("/qapi/alternate", test_alternate);
    g_test_add_func("/qapi/enum", test_enum);
    g_test_add_func("/qapi/arguments", test_arguments);
    g_test_add_func("/qapi/introspection", test_introspection);
    g_test_add_func("/qapi/object-types", test_object_types);
    return g_test_run();
}
