/*
 * Object types authz-simple, authz-list and authz-list-file: which identities are let in.
 * Main thread or whoever asks, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/authz.h"

#include <string.h>

#include "qapi/json.h"
#include "qapi/qapi-types.h"
#include "qom/object.h"

/* class_data of the types: does obj let identity in?  False with errp unset: it does not. */
typedef struct AuthzClass {
    bool (*allows)(Object *obj, const char *identity, Error **errp);
} AuthzClass;

bool authz_check(const char *id, const char *identity, Error **errp)
{
    Object *obj = object_user_by_id(id);
    const AuthzClass *c;
    Error *err = NULL;
    bool ok;

    if (!obj || !object_is(obj, TYPE_AUTHZ)) {
        error_setg(errp, "there is no authorization object with id '%s'", id);
        return false;
    }
    if (!identity) {
        error_setg(errp, "authorization '%s' needs to know who the peer is, and these "
                   "credentials do not tell", id);
        return false;
    }
    c = type_class_data(obj->type);
    ok = c->allows(obj, identity, &err);
    if (!ok && !err) {
        error_setg(&err, "'%s' is not let in by '%s'", identity, id);
    }
    if (err) {
        g_propagate_error(errp, err);
    }
    return ok;
}

static const TypeInfo authz_type = {
    .name = TYPE_AUTHZ,
    .abstract = true,
    .instance_size = sizeof(Object),
};
TYPE_REGISTER(authz_type)

/* ---- authz-simple ---- */

typedef struct AuthzSimple {
    Object obj;
    char *identity;
} AuthzSimple;

static bool simple_allows(Object *obj, const char *identity, Error **errp)
{
    return !strcmp(((AuthzSimple *)obj)->identity, identity);
}

static bool simple_complete(Object *obj, Error **errp)
{
    if (!((AuthzSimple *)obj)->identity) {
        error_setg(errp, "authz-simple: parameter 'identity' is missing");
        return false;
    }
    return true;
}

static const PropertyInfo simple_props[] = {
    { .name = "identity", .kind = PROP_STRING, .offset = offsetof(AuthzSimple, identity),
      .description = "the one that is let in" },
    { NULL },
};

static const AuthzClass simple_class = { simple_allows };
static const TypeInfo simple_type = {
    .name = "authz-simple",
    .parent = TYPE_AUTHZ,
    .user_creatable = true,
    .instance_size = sizeof(AuthzSimple),
    .props = simple_props,
    .complete = simple_complete,
    .class_data = &simple_class,
    .description = "lets one identity in",
};
TYPE_REGISTER(simple_type)

/* ---- rules, as in a file and in QMP ---- */

/* The first rule that matches decides, else the policy. */
static bool rules_allow(const AuthZListProperties *list, const char *identity)
{
    for (guint i = 0; list->rules && i < list->rules->len; i++) {
        const QAuthZListRule *r = list->rules->pdata[i];
        bool glob = r->has_format && r->format == Q_AUTH_Z_LIST_FORMAT_GLOB;

        if (glob ? g_pattern_match_simple(r->match, identity) : !strcmp(r->match, identity)) {
            return r->policy == Q_AUTH_Z_LIST_POLICY_ALLOW;
        }
    }
    return list->has_policy && list->policy == Q_AUTH_Z_LIST_POLICY_ALLOW;
}

/* ---- authz-list ---- */

static const char *const policies[] = { "deny", "allow", NULL };

typedef struct AuthzList {
    Object obj;
    int policy;
    AuthZListProperties *list; /* of the rules; NULL: none */
} AuthzList;

static bool list_allows(Object *obj, const char *identity, Error **errp)
{
    AuthzList *l = (AuthzList *)obj;
    AuthZListProperties all = { .has_policy = true, .policy = (QAuthZListPolicy)l->policy };

    all.rules = l->list ? l->list->rules : NULL;
    return rules_allow(&all, identity);
}

static JsonNode *get_rules(Object *obj, const PropertyInfo *p, Error **errp)
{
    AuthzList *l = (AuthzList *)obj;
    g_autoptr(JsonObject) o = json_object_new();

    if (l->list && l->list->rules) {
        qapi_put_AuthZListProperties(o, l->list);
        return json_node_copy(json_object_get_member(o, "rules"));
    }
    JsonNode *none = json_node_new(JSON_NODE_ARRAY);
    json_node_take_array(none, json_array_new());
    return none;
}

static bool set_rules(Object *obj, const PropertyInfo *p, JsonNode *value, Error **errp)
{
    AuthzList *l = (AuthzList *)obj;
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *o = json_object_new();
    AuthZListProperties *list;

    json_object_set_member(o, "rules", json_node_copy(value));
    json_node_take_object(node, o);
    list = auth_z_list_properties_from_json(node, errp);
    if (!list) {
        return false;
    }
    auth_z_list_properties_free(l->list);
    l->list = list;
    return true;
}

static void list_finalize(Object *obj)
{
    auth_z_list_properties_free(((AuthzList *)obj)->list);
}

static const PropertyInfo list_props[] = {
    { .name = "policy", .kind = PROP_ENUM, .offset = offsetof(AuthzList, policy),
      .type_name = "QAuthZListPolicy", .enum_names = policies, .def = "deny",
      .description = "for those whom no rule names", .settable_live = true },
    { .name = "rules", .kind = PROP_CUSTOM, .type_name = "QAuthZListRule[]", .get = get_rules,
      .set = set_rules, .description = "tried in order", .settable_live = true },
    { NULL },
};

static const AuthzClass list_class = { list_allows };
static const TypeInfo list_type = {
    .name = "authz-list",
    .parent = TYPE_AUTHZ,
    .user_creatable = true,
    .instance_size = sizeof(AuthzList),
    .props = list_props,
    .finalize = list_finalize,
    .class_data = &list_class,
    .description = "lets identities in by rules",
};
TYPE_REGISTER(list_type)

/* ---- authz-list-file ---- */

typedef struct AuthzListFile {
    Object obj;
    char *filename;
    bool refresh;
    AuthZListProperties *list;
} AuthzListFile;

/* The rules are small; a huge file is a mistake. */
#define LIST_FILE_MAX (1024 * 1024)

static AuthZListProperties *load_list(const char *filename, Error **errp)
{
    g_autoptr(GError) bad = NULL;
    g_autoptr(JsonNode) node = NULL;
    g_autofree char *text = NULL;
    AuthZListProperties *list = NULL;
    gsize len;

    if (!g_file_get_contents(filename, &text, &len, &bad)) {
        error_setg(errp, "authz-list-file: %s", bad->message);
        return NULL;
    }
    if (len > LIST_FILE_MAX) {
        error_setg(errp, "authz-list-file: '%s' is larger than 1 MiB", filename);
        return NULL;
    }
    node = json_parse_text(text, len, errp);
    if (node) {
        list = auth_z_list_properties_from_json(node, errp);
    }
    if (!list) {
        error_prefix(errp, "authz-list-file '%s': ", filename);
    }
    return list;
}

static bool file_load(AuthzListFile *f, Error **errp)
{
    AuthZListProperties *list = load_list(f->filename, errp);

    if (!list) {
        return false;
    }
    auth_z_list_properties_free(f->list);
    f->list = list;
    return true;
}

/* With `refresh` the file is read at every question: a file that is broken lets nobody in. */
static bool file_allows(Object *obj, const char *identity, Error **errp)
{
    AuthzListFile *f = (AuthzListFile *)obj;

    return (!f->refresh || file_load(f, errp)) && rules_allow(f->list, identity);
}

static bool file_complete(Object *obj, Error **errp)
{
    AuthzListFile *f = (AuthzListFile *)obj;

    if (!f->filename) {
        error_setg(errp, "authz-list-file: parameter 'filename' is missing");
        return false;
    }
    return file_load(f, errp);
}

static void file_finalize(Object *obj)
{
    auth_z_list_properties_free(((AuthzListFile *)obj)->list);
}

static const PropertyInfo file_props[] = {
    { .name = "filename", .kind = PROP_STRING, .offset = offsetof(AuthzListFile, filename),
      .description = "JSON file with the members of authz-list" },
    { .name = "refresh", .kind = PROP_BOOL, .offset = offsetof(AuthzListFile, refresh),
      .def = "on", .description = "read it anew for every question" },
    { NULL },
};

static const AuthzClass file_class = { file_allows };
static const TypeInfo file_type = {
    .name = "authz-list-file",
    .parent = TYPE_AUTHZ,
    .user_creatable = true,
    .instance_size = sizeof(AuthzListFile),
    .props = file_props,
    .complete = file_complete,
    .finalize = file_finalize,
    .class_data = &file_class,
    .description = "lets identities in by rules in a file",
};
TYPE_REGISTER(file_type)
