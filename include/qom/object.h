/*
 * Objects with a type, a place in a tree and properties that monitors can see.
 *
 * A type is one static TypeInfo, registered with TYPE_REGISTER().  An object's
 * properties are the PropertyInfo rows of its type and its ancestors.  Values
 * travel as JsonNode, the form in which QMP has them.  Everything here belongs to
 * the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_QOM_OBJECT_H
#define FERRY_QOM_OBJECT_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

typedef struct Object Object;
typedef struct TypeInfo TypeInfo;

struct Object {
    const TypeInfo *type;
    char *name;          /* last part of the path; NULL while outside the tree */
    Object *parent;
    GPtrArray *children; /* of Object *, in insertion order; may be NULL */
    int ref;
    bool realized;       /* properties are frozen */
};

/* Kinds of plain properties: where they are in the struct and how they are checked. */
typedef enum PropertyKind {
    PROP_BOOL,    /* bool */
    PROP_UINT8,
    PROP_UINT16,
    PROP_UINT32,
    PROP_INT32,
    PROP_UINT64,
    PROP_INT64,
    PROP_SIZE,    /* uint64_t, suffixes accepted */
    PROP_STRING,  /* char *, owned */
    PROP_ENUM,    /* int; enum_names is a NULL-terminated list */
    PROP_CUSTOM,  /* get/set below */
} PropertyKind;

typedef struct PropertyInfo {
    const char *name;
    PropertyKind kind;
    size_t offset;                   /* of the field in the object */
    const char *type_name;           /* for qom-list, e.g. "OnOffAuto"; NULL: from kind */
    const char *description;         /* for device-list-properties and -device X,help */
    const char *const *enum_names;
    const char *def;                 /* default as text; NULL: zero */
    JsonNode *(*get)(Object *obj, const struct PropertyInfo *p, Error **errp);
    bool (*set)(Object *obj, const struct PropertyInfo *p, JsonNode *value, Error **errp);
    bool readonly;
    bool settable_live;              /* also after realize (qom-set) */
    /* Called after a plain property was set, to check it; may be NULL. */
    bool (*check)(Object *obj, const struct PropertyInfo *p, Error **errp);
} PropertyInfo;

struct TypeInfo {
    const char *name;
    const char *parent;              /* NULL: "object" */
    bool abstract;
    bool user_creatable;             /* -object / object-add may make it */
    size_t instance_size;            /* 0: as parent */
    const PropertyInfo *props;       /* ends with name NULL */
    void (*init)(Object *obj);       /* after the parent's */
    bool (*complete)(Object *obj, Error **errp); /* properties are set: make it work */
    void (*finalize)(Object *obj);   /* before the parent's; object may be half built */
    const void *class_data;          /* what a family of types shares (DeviceClass, ...) */
    const char *description;
    bool (*can_be_deleted)(Object *obj, Error **errp); /* object-del; NULL: yes */
};

void type_register(const TypeInfo *info);
/* At file scope: registers before main(). */
#define TYPE_REGISTER(info_)                                             \
    static void __attribute__((constructor)) type_register_##info_(void) \
    {                                                                    \
        type_register(&info_);                                           \
    }

const TypeInfo *type_by_name(const char *name);
bool type_is_a(const TypeInfo *t, const char *ancestor);
/* All types, sorted by name, that descend from `ancestor` (NULL: all). GPtrArray of TypeInfo. */
GPtrArray *type_list(const char *ancestor, bool include_abstract);
/* class_data of the type or its nearest ancestor that has one. */
const void *type_class_data(const TypeInfo *t);

Object *object_new(const char *type_name); /* one reference; asserts that the type is known */
Object *object_ref(Object *obj);
void object_unref(Object *obj);
/* Checked cast: asserts that obj is a `type`. */
void *object_check(void *obj, const char *type);
bool object_is(const Object *obj, const char *type);

Object *object_root(void); /* "/" */
/* Path like "/machine/peripheral"; intermediate "container" objects are made. */
Object *object_container(const char *path);
/* Put child under parent; takes a reference. False (errp) when the name is taken. */
bool object_add_child(Object *parent, const char *name, Object *child, Error **errp);
void object_unparent(Object *obj); /* out of the tree; drops the tree's reference */
/* Absolute path, or a suffix that is unique ("ioapic"). NULL when none or ambiguous. */
Object *object_resolve(const char *path, bool *ret_ambiguous);
char *object_path(const Object *obj); /* canonical; free with g_free() */
Object *object_child(const Object *parent, const char *name);

/* All PropertyInfo of the object's type and ancestors, nearest first. */
GPtrArray *type_properties(const TypeInfo *t);
const PropertyInfo *type_find_property(const TypeInfo *t, const char *name); /* or NULL */
const PropertyInfo *object_find_property(const Object *obj, const char *name);
JsonNode *object_property_get(Object *obj, const char *name, Error **errp);
bool object_property_set(Object *obj, const char *name, JsonNode *value, Error **errp);
/* Value given as text, as on the command line. */
bool object_property_parse(Object *obj, const char *name, const char *text, Error **errp);
const char *property_type_name(const PropertyInfo *p);

/*
 * -object / object-add: make an object of a user-creatable type, set every member of
 * props (JSON, or strings that are parsed), complete it and put it at /objects/ID.
 */
Object *object_create_user(const char *type, const char *id, JsonObject *props, Error **errp);
bool object_delete_user(const char *id, Error **errp);
static inline Object *object_user_by_id(const char *id)
{
    return object_child(object_container("/objects"), id);
}

/*
 * -global DRIVER.PROP=VALUE, applied by object_new users after defaults.  `used`
 * tells at the end which were never applied.
 */
void global_property_add(const char *driver, const char *prop, const char *value);
bool object_apply_globals(Object *obj, Error **errp);
/* Warn about every -global that no object took, once the machine is complete. */
void global_properties_warn_unused(void);

/* A letter, then letters, digits, '-', '.', '_'. */
bool object_id_wellformed(const char *id);
/* Set each member of props but those in skip (NULL-terminated, or NULL); strings are parsed. */
bool object_set_members(Object *obj, JsonObject *props, const char *const *skip, Error **errp);

#endif
