/*
 * Walks a VMStateDescription to save or load a thing's state.
 *
 * Belongs to the thread that saves or loads, which holds the machine lock.
 *
 * Nothing that comes from the stream is used before it is checked: counts are bounded by
 * the field's `num`, versions by the description, and after every field the stream is
 * asked whether it is still good.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/vmstate.h"

#include <inttypes.h>
#include <string.h>

#include "migration/vmstate-internal.h"
#include "migration/wire.h"
#include "trace/migration.h"
#include "util/fault.h"
#include "util/util.h"

#define NULL_POINTER_MARK 0x30
/* Most bytes of something allocated on load whose description gives no bound. */
#define ALLOC_MAX (64 * MiB)

bool vmstate_field_exists(const VMStateField *f, const void *opaque, int version)
{
    return f->field_exists ? f->field_exists((void *)opaque, version) : f->version_id <= version;
}

/* The other field that holds a count or a size. */
static uint32_t count_field(const VMStateField *f, const void *opaque)
{
    const char *p = (const char *)opaque + f->num_offset;
    uint16_t v16;
    uint32_t v32;

    switch (f->num_size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        memcpy(&v16, p, sizeof(v16));
        return v16;
    case 4:
        memcpy(&v32, p, sizeof(v32));
        return v32;
    default:
        g_assert_not_reached();
    }
}

/* How many elements of which size a field has. */
typedef struct Extent {
    size_t n, size;
} Extent;

static bool field_extent(const VMStateField *f, const void *opaque, Extent *ret, Error **errp)
{
    uint32_t count;

    *ret = (Extent){ .n = 1, .size = f->size };
    if (f->flags & VMS_ARRAY) {
        ret->n = f->num;
    }
    if (!(f->flags & (VMS_VARRAY | VMS_VBUFFER))) {
        return true;
    }
    count = count_field(f, opaque);
    /* Memory that is in place has a size, so there must be a bound. */
    g_assert(f->num || (f->flags & VMS_ALLOC));
    if (f->num && count > f->num) {
        error_setg(errp, "%u elements where at most %u fit", count, f->num);
        return false;
    }
    if (f->flags & VMS_VBUFFER) {
        ret->size = count;
    } else {
        ret->n = count;
    }
    if ((f->flags & VMS_ALLOC) && ret->size && ret->n > ALLOC_MAX / ret->size) {
        error_setg(errp, "%zu elements of %zu bytes are more than Ferry takes", ret->n,
                   ret->size);
        return false;
    }
    return true;
}

static bool alloc_field(const VMStateField *f, void *opaque, const Extent *x, Error **errp)
{
    void **slot = (void **)((char *)opaque + f->offset);

    g_free(*slot);
    *slot = alloc_from_wire(x->n * x->size, errp);
    return *slot != NULL;
}

/* First element; NULL with errp set when a pointer is not there. */
static char *field_base(const VMStateField *f, const void *opaque, Error **errp)
{
    char *base = (char *)opaque + f->offset;

    if (f->flags & VMS_POINTER) {
        base = *(char **)base;
        if (!base) {
            error_setg(errp, "the memory is not there");
        }
    }
    return base;
}

static char *field_element(const VMStateField *f, char *base, size_t i, size_t size)
{
    return f->flags & VMS_ARRAY_OF_POINTER ? ((char **)base)[i] : base + i * size;
}

/* Saving. */

static bool save_element(Stream *s, const VMStateField *f, const char *p, size_t size,
                         JsonBuilder *json, Error **errp)
{
    if (f->flags & VMS_STRUCT) {
        return vmstate_save_described(s, f->vmsd, p, json, errp);
    }
    f->info->put(s, p, size, f);
    return true;
}

static bool save_elements(Stream *s, const VMStateDescription *vmsd, const VMStateField *f,
                          const void *opaque, JsonBuilder *json, Error **errp)
{
    Extent x;
    char *base;

    if (!field_extent(f, opaque, &x, errp)) {
        return false;
    }
    if (!x.n || ((f->flags & VMS_VBUFFER) && !x.size)) {
        return true;
    }
    base = field_base(f, opaque, errp);
    if (!base) {
        return false;
    }
    for (size_t i = 0; i < x.n; i++) {
        const char *p = field_element(f, base, i, x.size);
        uint64_t start = stream_offset(s);
        JsonBuilder *j = i && vmstate_desc_can_compress(f) ? NULL : json;

        vmstate_desc_field_begin(j, vmsd, f, i, x.n, !p);
        if (!p) {
            stream_put_u8(s, NULL_POINTER_MARK);
        } else if (!save_element(s, f, p, x.size, j, errp)) {
            return false;
        }
        vmstate_desc_field_end(j, f, !p, stream_offset(s) - start);
    }
    return true;
}

static bool save_fields(Stream *s, const VMStateDescription *vmsd, const void *opaque,
                        JsonBuilder *json, Error **errp)
{
    for (const VMStateField *f = vmsd->fields; f->name; f++) {
        bool exists = vmstate_field_exists(f, opaque, vmsd->version_id);

        if (f->flags & VMS_MUST_EXIST) {
            if (!exists) {
                error_setg(errp, "%s: the state does not satisfy '%s'", vmsd->name, f->name);
                return false;
            }
        } else if (exists && !save_elements(s, vmsd, f, opaque, json, errp)) {
            error_prefix(errp, "%s/%s: ", vmsd->name, f->name);
            return false;
        }
    }
    return true;
}

static bool save_subsections(Stream *s, const VMStateDescription *vmsd, const void *opaque,
                             JsonBuilder *json, Error **errp)
{
    bool open = false;

    for (const VMStateDescription *const *sub = vmsd->subsections; sub && *sub; sub++) {
        if (!vmstate_section_needed(*sub, (void *)opaque)) {
            continue;
        }
        stream_put_u8(s, WIRE_SUBSECTION);
        stream_put_str8(s, (*sub)->name);
        stream_put_be32(s, (*sub)->version_id);
        vmstate_desc_subsections_begin(json, &open);
        if (!vmstate_save_described(s, *sub, opaque, json, errp)) {
            return false;
        }
        if (json) {
            json_builder_end_object(json);
        }
    }
    vmstate_desc_subsections_end(json, open);
    return true;
}

bool vmstate_save_described(Stream *s, const VMStateDescription *vmsd, const void *opaque_const,
                            JsonBuilder *json, Error **errp)
{
    void *opaque = (void *)opaque_const;
    bool ok;

    trace_vmstate_save(vmsd->name, vmsd->version_id);
    if (vmsd->unmigratable) {
        error_setg(errp, "state of '%s' cannot be migrated", vmsd->name);
        return false;
    }
    if (vmsd->pre_save && !vmsd->pre_save(opaque, errp)) {
        error_prefix(errp, "%s: ", vmsd->name);
        return false;
    }
    vmstate_desc_begin(json, vmsd);
    ok = save_fields(s, vmsd, opaque, json, errp);
    if (ok) {
        vmstate_desc_end_fields(json);
        ok = save_subsections(s, vmsd, opaque, json, errp);
    }
    if (vmsd->post_save) {
        vmsd->post_save(opaque);
    }
    return ok;
}

bool vmstate_save(Stream *s, const VMStateDescription *vmsd, void *opaque, Error **errp)
{
    return vmstate_save_described(s, vmsd, opaque, NULL, errp) && !stream_error(s, errp);
}

bool vmstate_section_needed(const VMStateDescription *vmsd, void *opaque)
{
    return !vmsd->needed || vmsd->needed(opaque);
}

/* Loading. */

static bool load_null_pointer(Stream *s, Error **errp)
{
    uint8_t mark = stream_get_u8(s);

    if (mark != NULL_POINTER_MARK && !stream_error(s, errp)) {
        error_setg(errp, "the stream has an element (0x%02x) that is not there on this side",
                   mark);
        return false;
    }
    return !stream_error(s, NULL);
}

static bool load_element(Stream *s, const VMStateField *f, char *p, size_t size, Error **errp)
{
    if (f->flags & VMS_STRUCT) {
        return vmstate_load(s, f->vmsd, p, f->vmsd->version_id, errp);
    }
    if (!f->info->get(s, p, size, f, errp)) {
        return false;
    }
    return !stream_error(s, errp);
}

static bool load_elements(Stream *s, const VMStateField *f, void *opaque, Error **errp)
{
    Extent x;
    char *base;

    if (!field_extent(f, opaque, &x, errp)) {
        return false;
    }
    if ((f->flags & VMS_ALLOC) && !alloc_field(f, opaque, &x, errp)) {
        return false;
    }
    if (!x.n || ((f->flags & VMS_VBUFFER) && !x.size)) {
        return true;
    }
    base = field_base(f, opaque, errp);
    if (!base) {
        return false;
    }
    for (size_t i = 0; i < x.n; i++) {
        char *p = field_element(f, base, i, x.size);
        bool ok = p ? load_element(s, f, p, x.size, errp) : load_null_pointer(s, errp);
        if (!ok) {
            if (x.n > 1) {
                error_prefix(errp, "element %zu: ", i);
            }
            return false;
        }
    }
    return true;
}

static bool load_fields(Stream *s, const VMStateDescription *vmsd, void *opaque, int version,
                        Error **errp)
{
    for (const VMStateField *f = vmsd->fields; f->name; f++) {
        bool exists = vmstate_field_exists(f, opaque, version);
        uint64_t start = stream_offset(s);

        if (f->flags & VMS_MUST_EXIST) {
            if (!exists) {
                error_setg(errp, "%s: the state before offset %" PRIu64 " does not satisfy '%s'",
                           vmsd->name, start, f->name);
                return false;
            }
        } else if (exists && !load_elements(s, f, opaque, errp)) {
            error_prefix(errp, "%s/%s at offset %" PRIu64 ": ", vmsd->name, f->name, start);
            return false;
        }
    }
    return true;
}

/*
 * Name of the subsection that comes next, if the next bytes are one of `vmsd`'s: the
 * mark, and a name that starts with the name of the description.  Anything else belongs to an
 * outer level.
 */
static bool peek_subsection(Stream *s, const VMStateDescription *vmsd, char ret_name[256])
{
    uint8_t head[2];
    size_t len;

    if (stream_peek(s, head, 1, 0) != 1 || head[0] != WIRE_SUBSECTION) {
        return false;
    }
    if (stream_peek(s, head, 2, 0) != 2) {
        return false;
    }
    len = head[1];
    if (len < strlen(vmsd->name) + 1 || stream_peek(s, ret_name, len, 2) != len) {
        return false;
    }
    ret_name[len] = 0;
    return !strncmp(ret_name, vmsd->name, strlen(vmsd->name));
}

/* Index in vmsd->subsections; -1: unknown. */
static int find_subsection(const VMStateDescription *vmsd, const char *name)
{
    for (int i = 0; vmsd->subsections && vmsd->subsections[i]; i++) {
        if (!strcmp(vmsd->subsections[i]->name, name)) {
            return i;
        }
    }
    return -1;
}

/* The head of the next one, up to its version, in *ret_version; its index, -1 with errp set. */
static int open_subsection(Stream *s, const VMStateDescription *vmsd, const char *name,
                           uint64_t *seen, uint32_t *ret_version, Error **errp)
{
    int i = find_subsection(vmsd, name);

    if (i < 0) {
        error_setg(errp, "%s: unknown subsection '%s' at offset %" PRIu64, vmsd->name, name,
                   stream_offset(s));
        return -1;
    }
    g_assert(i < 64);
    if (*seen & 1ULL << i) {
        error_setg(errp, "%s: subsection '%s' comes again at offset %" PRIu64, vmsd->name, name,
                   stream_offset(s));
        return -1;
    }
    *seen |= 1ULL << i;
    stream_skip(s, 2 + strlen(name));
    *ret_version = stream_get_be32(s);
    return stream_error(s, errp) ? -1 : i;
}

static bool load_subsections(Stream *s, const VMStateDescription *vmsd, void *opaque,
                             Error **errp)
{
    uint64_t seen = 0;
    char name[256];

    while (peek_subsection(s, vmsd, name)) {
        uint32_t version;
        int i = open_subsection(s, vmsd, name, &seen, &version, errp);

        if (i < 0 || !vmstate_load(s, vmsd->subsections[i], opaque, version, errp)) {
            return false;
        }
    }
    return !stream_error(s, errp);
}

bool vmstate_load(Stream *s, const VMStateDescription *vmsd, void *opaque, int version_id,
                  Error **errp)
{
    trace_vmstate_load(vmsd->name, version_id);
    if (vmsd->unmigratable) {
        error_setg(errp, "state of '%s' cannot be migrated", vmsd->name);
        return false;
    }
    if (version_id > vmsd->version_id || version_id < vmsd->minimum_version_id) {
        error_setg(errp, "%s: version %d at offset %" PRIu64 "; %d to %d can be loaded",
                   vmsd->name, version_id, stream_offset(s), vmsd->minimum_version_id,
                   vmsd->version_id);
        return false;
    }
    if (vmsd->pre_load && !vmsd->pre_load(opaque, errp)) {
        error_prefix(errp, "%s: ", vmsd->name);
        return false;
    }
    if (!load_fields(s, vmsd, opaque, version_id, errp) ||
        !load_subsections(s, vmsd, opaque, errp)) {
        return false;
    }
    if (vmsd->post_load && !vmsd->post_load(opaque, version_id, errp)) {
        error_prefix(errp, "%s: ", vmsd->name);
        return false;
    }
    return true;
}
