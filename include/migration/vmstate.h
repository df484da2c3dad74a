/*
 * Declarative device state: what a saved thing looks like on the wire.
 *
 * A VMStateDescription lists fields in wire order; migration/vmstate.c walks it to
 * save, load and describe.  See docs/developer/vmstate.md and section "VMState" of
 * docs/wire-format.md.  All of it runs under the machine lock with the vCPUs stopped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_VMSTATE_H
#define FERRY_MIGRATION_VMSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/stream.h"
#include "util/error.h"

typedef struct VMStateDescription VMStateDescription;
typedef struct VMStateField VMStateField;

/* How one element is encoded. */
typedef struct VMStateInfo {
    const char *name; /* type string in the JSON description: "uint32", "timer", ... */
    bool (*get)(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp);
    void (*put)(Stream *s, const void *pv, size_t size, const VMStateField *field);
} VMStateInfo;

enum VMStateFlags {
    VMS_SINGLE = 0,
    VMS_ARRAY = 1 << 0,        /* num elements in place */
    VMS_STRUCT = 1 << 1,       /* element is a nested description */
    VMS_VARRAY = 1 << 2,       /* count is in another field (num_offset, num_size bytes wide) */
    VMS_POINTER = 1 << 3,      /* field is a pointer to the element(s) */
    VMS_ARRAY_OF_POINTER = 1 << 4,
    VMS_VBUFFER = 1 << 5,      /* one buffer; its size is in another field (num_offset) */
    VMS_MUST_EXIST = 1 << 6,   /* get() only checks (validate field) */
    VMS_ALLOC = 1 << 7,        /* pointer: allocate on load */
};

struct VMStateField {
    const char *name;
    const VMStateInfo *info;               /* NULL for VMS_STRUCT */
    const VMStateDescription *vmsd;        /* for VMS_STRUCT */
    size_t offset;                         /* in the state struct */
    size_t size;                           /* of one element */
    uint32_t num;                          /* elements of VMS_ARRAY; the bound of VMS_VARRAY
                                              and VMS_VBUFFER (0: none, with VMS_ALLOC only) */
    size_t num_offset;                     /* of the field with the count or size */
    uint8_t num_size;                      /* its width: 1, 2, 4 */
    int flags;
    int version_id;                        /* first version that has it */
    bool (*field_exists)(void *opaque, int version_id);
};

typedef enum MigrationPriority {
    MIG_PRI_UNSET = 0,
    MIG_PRI_LOW,
    MIG_PRI_DEFAULT,
    MIG_PRI_IOMMU,
    MIG_PRI_PCI_BUS,
    MIG_PRI_VIRTIO_MEM,
    MIG_PRI_APIC,
    MIG_PRI_GICV3_ITS,
    MIG_PRI_GICV3,
    MIG_PRI__MAX,
} MigrationPriority;

struct VMStateDescription {
    const char *name;
    int version_id;
    int minimum_version_id;
    bool unmigratable;
    bool early_setup;
    MigrationPriority priority;
    bool (*pre_load)(void *opaque, Error **errp);
    bool (*post_load)(void *opaque, int version_id, Error **errp);
    bool (*pre_save)(void *opaque, Error **errp);
    void (*post_save)(void *opaque);
    bool (*needed)(void *opaque);          /* NULL: always */
    const VMStateField *fields;            /* ends with name NULL */
    const VMStateDescription *const *subsections; /* ends with NULL; or NULL */
};

extern const VMStateInfo vmstate_info_bool;
extern const VMStateInfo vmstate_info_int8, vmstate_info_int16, vmstate_info_int32, vmstate_info_int64;
extern const VMStateInfo vmstate_info_uint8, vmstate_info_uint16, vmstate_info_uint32, vmstate_info_uint64;
extern const VMStateInfo vmstate_info_int32_equal, vmstate_info_uint8_equal, vmstate_info_uint16_equal,
    vmstate_info_uint32_equal, vmstate_info_uint64_equal, vmstate_info_int32_le;
extern const VMStateInfo vmstate_info_timer;         /* Timer: expiry, -1 not armed; re-armed on load */
extern const VMStateInfo vmstate_info_buffer;
extern const VMStateInfo vmstate_info_unused_buffer;
extern const VMStateInfo vmstate_info_bitmap;

/* 0; does not compile unless the member has this type. */
#define VMSTATE_TYPE_CHECK(state, member, ...)                                     \
    (0 * sizeof(char[__builtin_types_compatible_p(__VA_ARGS__,                     \
                                                  __typeof__(((state *)0)->member)) ? 1 : -1]))
/* offsetof with a type check. */
#define vmstate_offset(state, member, type)                                        \
    (offsetof(state, member) + VMSTATE_TYPE_CHECK(state, member, type))

#define VMSTATE_SINGLE_FULL(member, state, test, ver, inf, type)                   \
    {                                                                              \
        .name = #member, .info = &(inf), .size = sizeof(type),                     \
        .offset = vmstate_offset(state, member, type), .version_id = (ver),        \
        .field_exists = (test)                                                     \
    }
#define VMSTATE_ARRAY_FULL(member, state, n, test, ver, inf, type)                 \
    {                                                                              \
        .name = #member, .info = &(inf), .size = sizeof(type), .num = (n),         \
        .flags = VMS_ARRAY,                                                        \
        .offset = offsetof(state, member) +                                        \
                  VMSTATE_TYPE_CHECK(state, member, type[n]),                      \
        .version_id = (ver), .field_exists = (test)                                \
    }

#define VMSTATE_BOOL_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_bool, bool)
#define VMSTATE_INT8_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_int8, int8_t)
#define VMSTATE_INT16_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_int16, int16_t)
#define VMSTATE_INT32_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_int32, int32_t)
#define VMSTATE_INT64_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_int64, int64_t)
#define VMSTATE_UINT8_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT16_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_uint16, uint16_t)
#define VMSTATE_UINT32_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_uint32, uint32_t)
#define VMSTATE_UINT64_V(f, s, v) VMSTATE_SINGLE_FULL(f, s, NULL, v, vmstate_info_uint64, uint64_t)
#define VMSTATE_BOOL(f, s) VMSTATE_BOOL_V(f, s, 0)
#define VMSTATE_INT8(f, s) VMSTATE_INT8_V(f, s, 0)
#define VMSTATE_INT16(f, s) VMSTATE_INT16_V(f, s, 0)
#define VMSTATE_INT32(f, s) VMSTATE_INT32_V(f, s, 0)
#define VMSTATE_INT64(f, s) VMSTATE_INT64_V(f, s, 0)
#define VMSTATE_UINT8(f, s) VMSTATE_UINT8_V(f, s, 0)
#define VMSTATE_UINT16(f, s) VMSTATE_UINT16_V(f, s, 0)
#define VMSTATE_UINT32(f, s) VMSTATE_UINT32_V(f, s, 0)
#define VMSTATE_UINT64(f, s) VMSTATE_UINT64_V(f, s, 0)
#define VMSTATE_UINT8_TEST(f, s, t) VMSTATE_SINGLE_FULL(f, s, t, 0, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT32_TEST(f, s, t) VMSTATE_SINGLE_FULL(f, s, t, 0, vmstate_info_uint32, uint32_t)
#define VMSTATE_UINT64_TEST(f, s, t) VMSTATE_SINGLE_FULL(f, s, t, 0, vmstate_info_uint64, uint64_t)
#define VMSTATE_UINT8_EQUAL(f, s) VMSTATE_SINGLE_FULL(f, s, NULL, 0, vmstate_info_uint8_equal, uint8_t)
#define VMSTATE_UINT16_EQUAL(f, s) VMSTATE_SINGLE_FULL(f, s, NULL, 0, vmstate_info_uint16_equal, uint16_t)
#define VMSTATE_INT32_EQUAL(f, s) VMSTATE_SINGLE_FULL(f, s, NULL, 0, vmstate_info_int32_equal, int32_t)
#define VMSTATE_UINT32_EQUAL(f, s) VMSTATE_SINGLE_FULL(f, s, NULL, 0, vmstate_info_uint32_equal, uint32_t)
#define VMSTATE_UINT64_EQUAL(f, s) VMSTATE_SINGLE_FULL(f, s, NULL, 0, vmstate_info_uint64_equal, uint64_t)
#define VMSTATE_TIMER(f, s) VMSTATE_SINGLE_FULL(f, s, NULL, 0, vmstate_info_timer, Timer)
#define VMSTATE_UINT8_ARRAY_V(f, s, n, v) VMSTATE_ARRAY_FULL(f, s, n, NULL, v, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT16_ARRAY_V(f, s, n, v) VMSTATE_ARRAY_FULL(f, s, n, NULL, v, vmstate_info_uint16, uint16_t)
#define VMSTATE_UINT32_ARRAY_V(f, s, n, v) VMSTATE_ARRAY_FULL(f, s, n, NULL, v, vmstate_info_uint32, uint32_t)
#define VMSTATE_INT32_ARRAY_V(f, s, n, v) VMSTATE_ARRAY_FULL(f, s, n, NULL, v, vmstate_info_int32, int32_t)
#define VMSTATE_UINT64_ARRAY_V(f, s, n, v) VMSTATE_ARRAY_FULL(f, s, n, NULL, v, vmstate_info_uint64, uint64_t)
#define VMSTATE_UINT8_ARRAY(f, s, n) VMSTATE_UINT8_ARRAY_V(f, s, n, 0)
#define VMSTATE_UINT16_ARRAY(f, s, n) VMSTATE_UINT16_ARRAY_V(f, s, n, 0)
#define VMSTATE_UINT32_ARRAY(f, s, n) VMSTATE_UINT32_ARRAY_V(f, s, n, 0)
#define VMSTATE_INT32_ARRAY(f, s, n) VMSTATE_INT32_ARRAY_V(f, s, n, 0)
#define VMSTATE_UINT64_ARRAY(f, s, n) VMSTATE_UINT64_ARRAY_V(f, s, n, 0)

/* A fixed buffer inside the struct, sizeof(member) bytes. */
#define VMSTATE_BUFFER_V(f, s, v)                                                  \
    {                                                                              \
        .name = #f, .info = &vmstate_info_buffer, .size = sizeof(((s *)0)->f),     \
        .offset = offsetof(s, f), .version_id = (v)                                \
    }
#define VMSTATE_BUFFER(f, s) VMSTATE_BUFFER_V(f, s, 0)
/* n bytes on the wire that mean nothing any more: zeros out, anything in. */
#define VMSTATE_UNUSED_V(v, n)                                                     \
    {                                                                              \
        .name = "unused", .info = &vmstate_info_unused_buffer, .size = (n),        \
        .version_id = (v)                                                          \
    }
#define VMSTATE_UNUSED(n) VMSTATE_UNUSED_V(0, n)
/* A buffer behind a pointer; its byte count is the int32/uint32 field `sizef`, at most max bytes. */
#define VMSTATE_VBUFFER_ALLOC_UINT32(f, s, v, sizef, max)                          \
    {                                                                              \
        .name = #f, .info = &vmstate_info_buffer, .offset = offsetof(s, f),        \
        .num_offset = vmstate_offset(s, sizef, uint32_t), .num_size = 4,           \
        .num = (max), .flags = VMS_VBUFFER | VMS_POINTER | VMS_ALLOC,              \
        .version_id = (v)                                                          \
    }

#define VMSTATE_STRUCT_TEST(f, s, test, v, desc, type)                             \
    {                                                                              \
        .name = #f, .vmsd = &(desc), .size = sizeof(type), .flags = VMS_STRUCT,    \
        .offset = vmstate_offset(s, f, type), .version_id = (v),                   \
        .field_exists = (test)                                                     \
    }
#define VMSTATE_STRUCT(f, s, v, desc, type) VMSTATE_STRUCT_TEST(f, s, NULL, v, desc, type)
#define VMSTATE_STRUCT_ARRAY(f, s, n, v, desc, type)                               \
    {                                                                              \
        .name = #f, .vmsd = &(desc), .size = sizeof(type), .num = (n),             \
        .flags = VMS_STRUCT | VMS_ARRAY,                                           \
        .offset = offsetof(s, f) +                                                 \
                  VMSTATE_TYPE_CHECK(s, f, type[n]),                               \
        .version_id = (v)                                                          \
    }
/* First n elements of an array. */
#define VMSTATE_STRUCT_SUB_ARRAY(f, s, n, v, desc, type)                           \
    {                                                                              \
        .name = #f, .vmsd = &(desc), .size = sizeof(type), .num = (n),             \
        .flags = VMS_STRUCT | VMS_ARRAY, .offset = offsetof(s, f),                 \
        .version_id = (v)                                                          \
    }
/* `n` elements whose count is a field of the struct; never more than max. */
#define VMSTATE_STRUCT_VARRAY(f, s, countf, max, v, desc, type)                    \
    {                                                                              \
        .name = #f, .vmsd = &(desc), .size = sizeof(type), .num = (max),           \
        .num_offset = offsetof(s, countf), .num_size = sizeof(((s *)0)->countf),   \
        .flags = VMS_STRUCT | VMS_VARRAY, .offset = offsetof(s, f),                \
        .version_id = (v)                                                          \
    }
#define VMSTATE_VARRAY_FULL(f, s, countf, max, v, inf, type)                       \
    {                                                                              \
        .name = #f, .info = &(inf), .size = sizeof(type), .num = (max),            \
        .num_offset = offsetof(s, countf), .num_size = sizeof(((s *)0)->countf),   \
        .flags = VMS_VARRAY, .offset = offsetof(s, f), .version_id = (v)           \
    }
/* No bytes: load fails unless test is true; `what` names it in the error. */
#define VMSTATE_VALIDATE(what, test)                                               \
    {                                                                              \
        .name = (what), .field_exists = (test), .flags = VMS_MUST_EXIST            \
    }
#define VMSTATE_END_OF_LIST() { .name = NULL }

/* Walk a description.  Errors name the description and field. */
bool vmstate_save(Stream *s, const VMStateDescription *vmsd, void *opaque, Error **errp);
bool vmstate_load(Stream *s, const VMStateDescription *vmsd, void *opaque, int version_id,
                  Error **errp);
bool vmstate_section_needed(const VMStateDescription *vmsd, void *opaque);

#define VMSTATE_INSTANCE_ID_ANY (-1)
/*
 * Register state to be saved with the machine.  `path` is the device's bus path or
 * NULL; instance_id may be VMSTATE_INSTANCE_ID_ANY.  Machine lock held.  False when
 * the pair (idstr, instance) is taken.
 */
bool vmstate_register(const char *path, int instance_id, const VMStateDescription *vmsd,
                      void *opaque, Error **errp);
void vmstate_unregister(const VMStateDescription *vmsd, void *opaque);

#endif
