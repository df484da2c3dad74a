/*
 * Memory backends: -object memory-backend-ram, -file, -memfd.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/hostmem.h"

#include <sys/mman.h>
#include <string.h>

#include "hw/core/machine.h"
#include "util/log.h"
#include "util/util.h"

#define BACKEND(obj) ((HostMemoryBackend *)object_check((obj), TYPE_MEMORY_BACKEND))

const char *const host_memory_policies[] = { "default", "preferred", "bind", "interleave", NULL };

static bool check_policy(Object *obj, const PropertyInfo *p, Error **errp)
{
    if (BACKEND(obj)->policy != 0) {
        error_setg(errp, "policy '%s' is not supported: memory is not bound to host nodes",
                   host_memory_policies[BACKEND(obj)->policy]);
        return false;
    }
    return true;
}

static JsonNode *get_host_nodes(Object *obj, const PropertyInfo *p, Error **errp)
{
    return json_node_init_array(json_node_alloc(), json_array_new());
}

static bool set_host_nodes(Object *obj, const PropertyInfo *p, JsonNode *value, Error **errp)
{
    if (JSON_NODE_HOLDS_ARRAY(value) && !json_array_get_length(json_node_get_array(value))) {
        return true;
    }
    error_setg(errp, "'host-nodes' is not supported: memory is not bound to host nodes");
    return false;
}

static bool check_pmem(Object *obj, const PropertyInfo *p, Error **errp)
{
    if (BACKEND(obj)->pmem) {
        error_setg(errp, "'pmem=on' is not supported: there is no persistent memory device");
        return false;
    }
    return true;
}

static bool check_nonzero(Object *obj, const PropertyInfo *p, Error **errp)
{
    HostMemoryBackend *b = BACKEND(obj);

    if ((g_str_equal(p->name, "size") && !b->size) || !b->prealloc_threads) {
        error_setg(errp, "property '%s' of %s doesn't take value '0'", p->name, obj->type->name);
        return false;
    }
    return true;
}

static bool check_align(Object *obj, const PropertyInfo *p, Error **errp)
{
    HostMemoryBackend *b = BACKEND(obj);

    if (b->align & (b->align - 1)) {
        error_setg(errp, "property 'align' of %s must be a power of two", obj->type->name);
        return false;
    }
    return true;
}

#define FIELD(f) .offset = offsetof(HostMemoryBackend, f)

static const PropertyInfo backend_props[] = {
    { .name = "size", .kind = PROP_SIZE, FIELD(size), .type_name = "int", .check = check_nonzero },
    { .name = "share", .kind = PROP_BOOL, FIELD(share) },
    { .name = "prealloc", .kind = PROP_BOOL, FIELD(prealloc) },
    { .name = "prealloc-threads", .kind = PROP_UINT32, FIELD(prealloc_threads), .type_name = "int",
      .def = "1", .check = check_nonzero },
    { .name = "merge", .kind = PROP_BOOL, FIELD(merge), .def = "on" },
    { .name = "dump", .kind = PROP_BOOL, FIELD(dump), .def = "on" },
    { .name = "reserve", .kind = PROP_BOOL, FIELD(reserve), .def = "on" },
    { .name = "host-nodes", .kind = PROP_CUSTOM, .type_name = "int", .get = get_host_nodes,
      .set = set_host_nodes },
    { .name = "policy", .kind = PROP_ENUM, FIELD(policy), .type_name = "HostMemPolicy",
      .enum_names = host_memory_policies, .check = check_policy },
    { .name = "x-use-canonical-path-for-ramblock-id", .kind = PROP_BOOL, FIELD(canonical_id) },
    { .name = NULL },
};

static void backend_init(Object *obj)
{
    if (current_machine) {
        BACKEND(obj)->merge = current_machine->mem_merge;
        BACKEND(obj)->dump = current_machine->dump_guest_core;
    }
}

/* The block is made when all properties are known, but belongs to no machine yet. */
static bool backend_alloc(HostMemoryBackend *b, RAMBlockOptions *opts, Error **errp)
{
    g_autofree char *path = object_path(&b->obj);

    if (!b->size) {
        error_setg(errp, "can't create backend with size 0: give 'size'");
        return false;
    }
    opts->shared = b->share;
    opts->prealloc = b->prealloc;
    opts->merge = b->merge;
    opts->dump = b->dump;
    b->rb = ramblock_new(b->canonical_id ? path : b->obj.name, b->size, opts, errp);
    if (!b->rb) {
        error_prefix(errp, "%s '%s': ", b->obj.type->name, b->obj.name);
        return false;
    }
    b->rb->migratable = false;
    return true;
}

static bool ram_complete(Object *obj, Error **errp)
{
    RAMBlockOptions opts = { .fd = -1 };

    return backend_alloc(BACKEND(obj), &opts, errp);
}

static bool file_complete(Object *obj, Error **errp)
{
    HostMemoryBackend *b = BACKEND(obj);
    RAMBlockOptions opts = { .fd = -1, .path = b->mem_path, .fd_offset = b->offset,
                             .readonly = b->readonly };

    if (!b->mem_path) {
        error_setg(errp, "mem-path property not set");
        return false;
    }
    if (!backend_alloc(b, &opts, errp)) {
        return false;
    }
    if (b->align && (uintptr_t)b->rb->host % b->align) {
        error_setg(errp, "memory of %s '%s' cannot be placed at a multiple of align=%" G_GUINT64_FORMAT,
                   obj->type->name, obj->name, b->align);
        return false;
    }
    return true;
}

static bool memfd_complete(Object *obj, Error **errp)
{
    HostMemoryBackend *b = BACKEND(obj);
    RAMBlockOptions opts = { .fd = -1, .memfd = true, .hugetlb = b->hugetlb,
                             .hugetlb_size = b->hugetlb_size };

    if (b->hugetlb_size && !b->hugetlb) {
        error_setg(errp, "'hugetlbsize' needs 'hugetlb=on'");
        return false;
    }
    return backend_alloc(b, &opts, errp);
}

static void backend_finalize(Object *obj)
{
    HostMemoryBackend *b = BACKEND(obj);

    if (!b->rb) {
        return;
    }
    if (b->discard_data && madvise(b->rb->host, b->rb->used_length, MADV_REMOVE) < 0) {
        warn_report("%s: discard-data: %s", b->mem_path, strerror(errno));
    }
    ramblock_free(b->rb);
}

static bool backend_can_be_deleted(Object *obj, Error **errp)
{
    if (BACKEND(obj)->mapped) {
        error_setg(errp, "object '%s' is in use, can not be deleted", obj->name);
        return false;
    }
    return true;
}

static const TypeInfo backend_type = {
    .name = TYPE_MEMORY_BACKEND,
    .abstract = true,
    .instance_size = sizeof(HostMemoryBackend),
    .props = backend_props,
    .init = backend_init,
    .finalize = backend_finalize,
    .can_be_deleted = backend_can_be_deleted,
};
TYPE_REGISTER(backend_type)

static const TypeInfo backend_ram_type = {
    .name = TYPE_MEMORY_BACKEND_RAM,
    .parent = TYPE_MEMORY_BACKEND,
    .user_creatable = true,
    .complete = ram_complete,
    .description = "anonymous guest memory",
};
TYPE_REGISTER(backend_ram_type)

static const PropertyInfo file_props[] = {
    { .name = "mem-path", .kind = PROP_STRING, FIELD(mem_path) },
    { .name = "discard-data", .kind = PROP_BOOL, FIELD(discard_data) },
    { .name = "align", .kind = PROP_SIZE, FIELD(align), .type_name = "int", .check = check_align },
    { .name = "offset", .kind = PROP_SIZE, FIELD(offset), .type_name = "int" },
    { .name = "pmem", .kind = PROP_BOOL, FIELD(pmem), .check = check_pmem },
    { .name = "readonly", .kind = PROP_BOOL, FIELD(readonly) },
    { .name = NULL },
};

static const TypeInfo backend_file_type = {
    .name = TYPE_MEMORY_BACKEND_FILE,
    .parent = TYPE_MEMORY_BACKEND,
    .user_creatable = true,
    .props = file_props,
    .complete = file_complete,
    .description = "guest memory in a file, or in a new file of a directory (hugetlbfs)",
};
TYPE_REGISTER(backend_file_type)

static const PropertyInfo memfd_props[] = {
    { .name = "hugetlb", .kind = PROP_BOOL, FIELD(hugetlb) },
    { .name = "hugetlbsize", .kind = PROP_SIZE, FIELD(hugetlb_size), .type_name = "int" },
    { .name = "seal", .kind = PROP_BOOL, FIELD(seal), .def = "on" },
    { .name = NULL },
};

static void memfd_init(Object *obj)
{
    BACKEND(obj)->share = true;
}

static const TypeInfo backend_memfd_type = {
    .name = TYPE_MEMORY_BACKEND_MEMFD,
    .parent = TYPE_MEMORY_BACKEND,
    .user_creatable = true,
    .props = memfd_props,
    .init = memfd_init,
    .complete = memfd_complete,
    .description = "guest memory in a memfd, shared and with huge pages if wanted",
};
TYPE_REGISTER(backend_memfd_type)

bool host_memory_backend_map(HostMemoryBackend *b, Error **errp)
{
    if (b->mapped) {
        error_setg(errp, "memory backend '%s' is used already", b->obj.name);
        return false;
    }
    if (b->rb->readonly) {
        error_setg(errp, "memory backend '%s' is read-only: it cannot be the machine's memory",
                   b->obj.name);
        return false;
    }
    b->mapped = true;
    b->rb->migratable = true;
    return true;
}

void host_memory_backend_foreach(void (*fn)(HostMemoryBackend *b, void *opaque), void *opaque)
{
    GPtrArray *children = object_container("/objects")->children;

    for (guint i = 0; children && i < children->len; i++) {
        if (object_is(children->pdata[i], TYPE_MEMORY_BACKEND)) {
            fn(children->pdata[i], opaque);
        }
    }
}
