/*
 * Unit tests of qom/: types, tree, properties, user-made objects, globals.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "qom/object.h"

typedef struct Animal {
    Object obj;
    bool furry;
    uint8_t legs;
    int32_t depth;
    uint64_t weight;
    char *nick;
    int mood;
} Animal;

static int finalized;
static const char *const moods[] = { "calm", "wild", NULL };

static bool legs_check(Object *obj, const PropertyInfo *p, Error **errp)
{
    if (((Animal *)obj)->legs == 3) {
        error_setg(errp, "three legs");
        return false;
    }
    return true;
}

static const PropertyInfo animal_props[] = {
    { .name = "furry", .kind = PROP_BOOL, .offset = offsetof(Animal, furry), .def = "on" },
    { .name = "legs", .kind = PROP_UINT8, .offset = offsetof(Animal, legs), .def = "4",
      .check = legs_check },
    { .name = "depth", .kind = PROP_INT32, .offset = offsetof(Animal, depth) },
    { .name = "weight", .kind = PROP_SIZE, .offset = offsetof(Animal, weight),
      .settable_live = true },
    { .name = "nick", .kind = PROP_STRING, .offset = offsetof(Animal, nick) },
    { .name = "mood", .kind = PROP_ENUM, .offset = offsetof(Animal, mood), .enum_names = moods },
    { .name = NULL },
};

static void animal_finalize(Object *obj)
{
    finalized++;
}

static const TypeInfo animal_type = {
    .name = "test-animal", .abstract = true, .instance_size = sizeof(Animal),
    .props = animal_props, .finalize = animal_finalize, .class_data = "animal",
};
TYPE_REGISTER(animal_type)

static bool cat_complete(Object *obj, Error **errp)
{
    if (!((Animal *)obj)->furry) {
        error_setg(errp, "a cat is furry");
        return false;
    }
    return true;
}

static const TypeInfo cat_type = {
    .name = "test-cat", .parent = "test-animal", .user_creatable = true, .complete = cat_complete,
};
TYPE_REGISTER(cat_type)

static void test_types(void)
{
    const TypeInfo *cat = type_by_name("test-cat");
    g_autoptr(GPtrArray) list = type_list("test-animal", false);
    g_autoptr(GPtrArray) all = type_list("test-animal", true);

    g_assert_nonnull(cat);
    g_assert_true(type_is_a(cat, "test-animal"));
    g_assert_true(type_is_a(cat, "object"));
    g_assert_false(type_is_a(cat, "container"));
    g_assert_cmpuint(list->len, ==, 1);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpstr(type_class_data(cat), ==, "animal");
    g_assert_null(type_by_name("test-dog"));
}

static void test_properties(void)
{
    Animal *a = (Animal *)object_new("test-cat");
    Object *o = &a->obj;
    g_autoptr(Error) err = NULL;

    g_assert_true(a->furry);
    g_assert_cmpuint(a->legs, ==, 4);
    g_assert_true(object_property_parse(o, "weight", "3K", &err));
    g_assert_cmpuint(a->weight, ==, 3072);
    g_assert_true(object_property_parse(o, "depth", "-5", &err));
    g_assert_cmpint(a->depth, ==, -5);
    g_assert_false(object_property_parse(o, "legs", "256", NULL));
    g_assert_false(object_property_parse(o, "legs", "-1", NULL));
    g_assert_false(object_property_parse(o, "legs", "3", NULL));
    g_assert_false(object_property_parse(o, "depth", "2147483648", NULL));
    g_assert_false(object_property_parse(o, "depth", "-2147483649", NULL));
    g_assert_true(object_property_parse(o, "depth", "-2147483648", NULL));
    g_assert_false(object_property_parse(o, "furry", "perhaps", NULL));
    g_assert_false(object_property_parse(o, "mood", "sad", &err));
    g_assert_nonnull(strstr(err->message, "calm, wild"));
    g_clear_error(&err);
    g_assert_true(object_property_parse(o, "mood", "wild", NULL));
    g_assert_true(object_property_parse(o, "nick", "tom", NULL));
    g_assert_false(object_property_parse(o, "tail", "1", &err));
    g_assert_cmpstr(err->message, ==, "Property 'test-cat.tail' not found");
    g_assert_false(object_property_parse(o, "type", "x", NULL));

    g_autoptr(JsonNode) mood = object_property_get(o, "mood", NULL);
    g_autoptr(JsonNode) type = object_property_get(o, "type", NULL);
    g_autoptr(JsonNode) depth = object_property_get(o, "depth", NULL);
    g_assert_cmpstr(json_node_get_string(mood), ==, "wild");
    g_assert_cmpstr(json_node_get_string(type), ==, "test-cat");
    g_assert_cmpint(json_node_get_int(depth), ==, INT32_MIN);
    g_assert_false(object_property_set(o, "furry", mood, NULL));

    o->realized = true;
    g_assert_false(object_property_parse(o, "nick", "jerry", NULL));
    g_assert_true(object_property_parse(o, "weight", "1", NULL));
    object_unref(o);
}

static void test_tree(void)
{
    Object *a = object_new("test-cat"), *b = object_new("test-cat");
    bool ambiguous;

    g_assert_true(object_add_child(object_container("/zoo/house"), "cat", a, NULL));
    g_assert_true(object_add_child(object_container("/zoo/yard"), "cat", b, NULL));
    g_autofree char *path = object_path(a);
    g_assert_cmpstr(path, ==, "/zoo/house/cat");
    g_assert_true(object_resolve("/zoo/yard/cat", NULL) == b);
    g_assert_true(object_resolve("yard/cat", &ambiguous) == b);
    g_assert_false(ambiguous);
    g_assert_null(object_resolve("cat", &ambiguous));
    g_assert_true(ambiguous);
    g_assert_null(object_resolve("/zoo/none", NULL));
    g_assert_true(object_resolve("/", NULL) == object_root());

    Object *c = object_new("test-cat");
    g_assert_false(object_add_child(object_container("/zoo/yard"), "cat", c, NULL));
    object_unref(c);
    finalized = 0;
    object_unparent(b);
    g_assert_cmpint(finalized, ==, 0);
    object_unref(b);
    g_assert_cmpint(finalized, ==, 1);
    object_unref(a);
    object_unparent(object_container("/zoo"));
    g_assert_cmpint(finalized, ==, 2);
}

static JsonObject *json(const char *text)
{
    g_autoptr(JsonNode) node = json_from_string(text, NULL);

    return json_node_dup_object(node);
}

static void test_user(void)
{
    g_autoptr(JsonObject) good = json("{\"qom-type\":\"x\",\"nick\":\"a\",\"weight\":\"1M\"}");
    g_autoptr(JsonObject) bad = json("{\"furry\":false}");
    g_autoptr(JsonObject) unknown = json("{\"fury\":false}");
    g_autoptr(Error) err = NULL;

    Object *o = object_create_user("test-cat", "c1", good, &err);
    g_assert_no_error(err);
    g_assert_true(o == object_user_by_id("c1"));
    g_assert_cmpuint(((Animal *)o)->weight, ==, 1 << 20);
    g_assert_null(object_create_user("test-cat", "c1", good, NULL));
    g_assert_null(object_create_user("test-cat", "c2", bad, &err));
    g_assert_cmpstr(err->message, ==, "a cat is furry");
    g_assert_null(object_user_by_id("c2"));
    g_assert_null(object_create_user("test-cat", "c2", unknown, NULL));
    g_assert_null(object_create_user("test-animal", "c2", good, NULL));
    g_assert_null(object_create_user("container", "c2", good, NULL));
    g_assert_null(object_create_user("test-cat", "1c", good, NULL));
    g_assert_true(object_delete_user("c1", NULL));
    g_assert_false(object_delete_user("c1", NULL));
}

static void test_globals(void)
{
    g_autoptr(Error) err = NULL;

    global_property_add("test-animal", "legs", "6");
    Object *o = object_new("test-cat");
    g_assert_true(object_apply_globals(o, &err));
    g_assert_cmpuint(((Animal *)o)->legs, ==, 6);
    global_property_add("test-cat", "legs", "many");
    g_assert_false(object_apply_globals(o, &err));
    g_assert_true(g_str_has_prefix(err->message, "-global test-cat.legs=many: "));
    object_unref(o);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qom/types", test_types);
    g_test_add_func("/qom/properties", test_properties);
    g_test_add_func("/qom/tree", test_tree);
    g_test_add_func("/qom/user", test_user);
    g_test_add_func("/qom/globals", test_globals);
    return g_test_run();
}
