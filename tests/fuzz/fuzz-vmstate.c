/*
 * Fuzz target: device state.  The first byte chooses a registered device of a PC (or a
 * description with every kind of field), the second a version; the rest is the body of its
 * section.  What loads must also save.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "migration/savevm.h"
#include "migration/stream-internal.h"
#include "system/clock.h"
#include "system/machine-lock.h"
#include "util/util.h"

/* ---- a description with the kinds of fields that devices have seldom or never ---- */

typedef struct Item {
    uint16_t a;
    uint8_t b[3];
} Item;

typedef struct Kinds {
    bool flag;
    uint8_t count;
    uint32_t size;
    uint8_t *blob;
    Item items[5];
    uint32_t words[7];
    Timer timer;
    unsigned long bits[2];
    int64_t extra;
} Kinds;

static const VMStateDescription vmstate_item = {
    .name = "item", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT16(a, Item),
        VMSTATE_UINT8_ARRAY(b, Item, 3),
        VMSTATE_END_OF_LIST()
    },
};

static bool extra_needed(void *opaque)
{
    return ((Kinds *)opaque)->extra != 0;
}

static const VMStateDescription vmstate_extra = {
    .name = "kinds/extra", .version_id = 1, .minimum_version_id = 1, .needed = extra_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_INT64(extra, Kinds),
        VMSTATE_END_OF_LIST()
    },
};

static bool flag_is_set(void *opaque, int version_id)
{
    return ((Kinds *)opaque)->flag;
}

static const VMStateDescription vmstate_kinds = {
    .name = "kinds", .version_id = 3, .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(flag, Kinds),
        VMSTATE_UINT8_V(count, Kinds, 2),
        VMSTATE_STRUCT_VARRAY(items, Kinds, count, 5, 2, vmstate_item, Item),
        VMSTATE_UINT32(size, Kinds),
        VMSTATE_VBUFFER_ALLOC_UINT32(blob, Kinds, 0, size, 4096),
        VMSTATE_VARRAY_FULL(words, Kinds, count, 7, 3, vmstate_info_uint32, uint32_t),
        VMSTATE_TIMER(timer, Kinds),
        { .name = "bits", .info = &vmstate_info_bitmap, .offset = offsetof(Kinds, bits),
          .size = 70 },
        VMSTATE_UNUSED(5),
        VMSTATE_VALIDATE("the flag is set", flag_is_set),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_extra, NULL },
};

static void timer_fired(void *opaque)
{
}

static void load_and_save(const VMStateDescription *vmsd, void *state, int version, FuzzInput *in)
{
    g_autoptr(Stream) s = stream_new_input_memory(in->data, in->len);
    g_autoptr(Stream) out = stream_new_output_memory();
    Error *err = NULL;
    bool ok = vmstate_load(s, vmsd, state, version, &err);

    g_assert(ok == !err);
    g_clear_error(&err);
    if (ok) {
        ok = vmstate_save(out, vmsd, state, &err);
        g_assert(ok == !err);
        g_clear_error(&err);
    }
}

static void kinds(int version, FuzzInput *in)
{
    Kinds k = { 0 };

    timer_init(&k.timer, timer_fired, NULL);
    load_and_save(&vmstate_kinds, &k, 1 + version % 3, in);
    timer_del(&k.timer);
    g_free(k.blob);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_machine("q35", 4 * MiB);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    const GPtrArray *entries = save_registry()->entries;
    unsigned which = fuzz_take_u8(&in) % (entries->len + 1);
    unsigned version = fuzz_take_u8(&in);
    const SaveEntry *e;

    MACHINE_LOCK_GUARD();
    if (which == entries->len) {
        kinds(version, &in);
        return 0;
    }
    e = g_ptr_array_index(entries, which);
    if (e->vmsd) {
        unsigned versions = e->vmsd->version_id - e->vmsd->minimum_version_id + 1;
        load_and_save(e->vmsd, e->opaque, e->vmsd->version_id - version % versions, &in);
    }
    return 0;
}
